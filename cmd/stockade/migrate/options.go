package migrate

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"stockade/cmd/stockade/config"
)

// splitWords splits a list at blanks, commas and line ends, as fail2ban does.
func splitWords(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
}

// logPath is one entry of logpath.
type logPath struct {
	pattern string // absolute
	head    bool   // from its beginning, as fail2ban does unless told otherwise
}

// logs are the files that the jail reads.
func (j *Jail) logs() []logPath {
	var out []logPath
	for line := range strings.SplitSeq(j.Options["logpath"], "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		l := logPath{pattern: line, head: true}
		if i := strings.LastIndexByte(line, ' '); i > 0 {
			l = logPath{pattern: strings.TrimSpace(line[:i]), head: strings.TrimSpace(line[i:]) != "tail"}
		}
		out = append(out, l)
	}
	return out
}

// seconds reads a time as fail2ban does: 1d 12h, 10m, seconds, products such as 60*60, -1 for ever.
func seconds(text string) (string, error) {
	text = strings.TrimSpace(text)
	if factors := strings.Split(text, "*"); len(factors) > 1 {
		product := int64(1)
		for _, f := range factors {
			n, err := strconv.ParseInt(strings.TrimSpace(f), 10, 32)
			if err != nil || n < 0 || product > 1<<32 {
				return "", fmt.Errorf("%q is no time such as 10m, 1h or 3600", clip(text))
			}
			product *= n
		}
		text = strconv.FormatInt(product, 10)
	}
	if _, err := config.ParseDuration(text); err != nil {
		return "", fmt.Errorf("%q is no time such as 10m, 1h or 3600: %w", clip(text), err)
	}
	return text, nil
}

// addresses splits ignoreip into what never_ban and ignoreip of Stockade take, and what they do not.
func addresses(text string) (taken, loopback, names, bad []string) {
	for _, w := range splitWords(text) {
		if rest, ok := strings.CutPrefix(w, "file://"); ok {
			w = "file:" + rest
		}
		if path, ok := strings.CutPrefix(w, "file:"); ok {
			if !filepath.IsAbs(path) {
				bad = append(bad, w)
				continue
			}
			taken = append(taken, w)
			continue
		}
		switch p, err := prefix(w); {
		case err == nil && p.Addr().IsLoopback():
			loopback = append(loopback, w)
		case err == nil && p.Bits() == 0:
			bad = append(bad, w)
		case err == nil:
			taken = append(taken, p.String())
		case isName(w):
			names = append(names, w)
		default:
			bad = append(bad, w)
		}
	}
	return taken, loopback, names, bad
}

// prefix reads an address, ADDRESS/LENGTH or, for IPv4, ADDRESS/MASK.
func prefix(w string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(w); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	if addr, mask, ok := strings.Cut(w, "/"); ok {
		if m, err := netip.ParseAddr(mask); err == nil && m.Is4() {
			bits := 0
			for bits < 32 && m.AsSlice()[bits/8]>>(7-bits%8)&1 == 1 {
				bits++
			}
			w = addr + "/" + strconv.Itoa(bits)
		}
	}
	p, err := netip.ParsePrefix(w)
	if err != nil {
		return p, err
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

func isName(w string) bool {
	letter := false
	for _, r := range []byte(w) {
		switch {
		case r|0x20 >= 'a' && r|0x20 <= 'z':
			letter = true
		case r >= '0' && r <= '9', r == '.', r == '-', r == '_':
		default:
			return false
		}
	}
	return letter
}

// clip cuts a text of the configuration to what a message may show.
func clip(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
