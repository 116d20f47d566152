package notify

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"stockade/receiver/statefile"
)

// fileMark begins every file of ours. A file without it belongs to somebody else and is left alone.
const fileMark = "# written by stockade: changes are lost\n"

// file writes all current bans to a file.
type file struct {
	cfg  *Config
	bans func(channel string) []Ban
}

func (file) close() {}

func (f file) send(context.Context, *message) error {
	text := f.render(f.bans(f.cfg.Name))
	old, err := os.ReadFile(f.cfg.Path)
	switch {
	case err == nil && bytes.Equal(old, text):
		return nil
	case err == nil && len(old) > 0 && !bytes.HasPrefix(old, []byte(fileMark)):
		return permanent(fmt.Errorf("%s was not written by stockade and is left alone: name a file of its own, or empty it", f.cfg.Path))
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return permanent(err)
	}
	return statefile.Replace(f.cfg.Path, text, 0o644)
}

// render writes the bans in the channel's format, one line each, in order of their addresses.
func (f file) render(bans []Ban) []byte {
	slices.SortFunc(bans, func(a, b Ban) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()), cmp.Compare(a.Jail, b.Jail))
	})
	bans = slices.CompactFunc(bans, func(a, b Ban) bool { return a.Prefix == b.Prefix })
	var b bytes.Buffer
	b.WriteString(fileMark)
	six := slices.IndexFunc(bans, func(b Ban) bool { return b.Prefix.Addr().Is6() })
	if six < 0 {
		six = len(bans)
	}
	for i, family := range [][]Ban{bans[:six], bans[six:]} {
		if f.cfg.Format == "mikrotik" {
			b.WriteString(emptyLists[i])
		}
		for _, ban := range family {
			f.line(&b, ban)
		}
	}
	return b.Bytes()
}

// emptyLists empty a router's lists. One without IPv6 ends an import at the second line, when it has
// all of IPv4.
var emptyLists = [2]string{
	"/ip firewall address-list remove [find list=stockade]\n",
	"/ipv6 firewall address-list remove [find list=stockade]\n",
}

func (f file) line(b *bytes.Buffer, ban Ban) {
	switch f.cfg.Format {
	case "hosts.deny":
		if ban.Prefix.Addr().Is6() {
			fmt.Fprintf(b, "ALL: [%s]/%d\n", ban.Prefix.Addr(), ban.Prefix.Bits())
			return
		}
		fmt.Fprintf(b, "ALL: %s\n", addressText(ban.Prefix))
	case "nginx": // a single address is the same to geo and to map
		fmt.Fprintf(b, "%s 1;\n", addressText(ban.Prefix))
	case "mikrotik":
		menu := "/ip"
		if ban.Prefix.Addr().Is6() {
			menu = "/ipv6"
		}
		fmt.Fprintf(b, "%s firewall address-list add list=stockade address=%s comment=%s\n", menu, ban.Prefix, word(ban.Jail))
	default:
		fmt.Fprintln(b, addressText(ban.Prefix))
	}
}

// word keeps the letters that names of jails are made of.
func word(s string) string {
	kept := make([]byte, 0, len(s))
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' {
			kept = append(kept, c)
		}
	}
	return string(kept)
}
