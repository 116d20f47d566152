package nft

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"stockade/firewall"
)

// viewer is an Enforcer that only reads: it makes nothing.
func viewer(o Options) (*Enforcer, error) {
	e := newEnforcer(o)
	var err error
	if e.reader, err = dial(e.netns); err != nil {
		return nil, permission(err)
	}
	have, err := listSets(e.reader, e.config.Table)
	if err != nil {
		_ = e.reader.close()
		return nil, fmt.Errorf("list the sets of table inet %s: %w", e.config.Table, err)
	}
	for _, f := range have {
		if id, ok := parseSet(f.name, f.comment); ok {
			e.sets[id] = true
		}
	}
	return e, nil
}

// Verify compares the table with what it must be and gives what differs, one phrase each; none
// when all is well. It changes nothing and works beside a running daemon. Elements are compared
// by Reconcile.
func Verify(o Options) ([]string, error) {
	e, err := viewer(o)
	if err != nil {
		return nil, err
	}
	defer func() { _ = e.reader.close() }()
	flaws, err := e.check()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range flaws {
		out = append(out, f.text)
	}
	return out, nil
}

// Remove deletes our table with all bans. It is no error that there is none; ErrOwned says that a
// running daemon has it.
func Remove(o Options) error {
	l, err := dial(o.NetNS)
	if err != nil {
		return permission(err)
	}
	defer func() { _ = l.close() }()
	t, err := getTable(l, o.Config.Table)
	if err != nil {
		return fmt.Errorf("look for table inet %s: %w", o.Config.Table, err)
	}
	if t.flags&tableOwner != 0 {
		return fmt.Errorf("table inet %s: %w (hint: stop the daemon first)", o.Config.Table, ErrOwned)
	}
	if err := deleteTable(l, o.Config.Table); err != nil {
		return fmt.Errorf("delete table inet %s: %w", o.Config.Table, err)
	}
	return nil
}

// Show writes what we own in the syntax of nft, with at most limit elements of each set: the
// objects that are in the kernel, and a rule that is not ours as a comment. The output, in a
// file, is input of `nft -f`.
func Show(o Options, w io.Writer, limit int) error {
	e, err := viewer(o)
	if err != nil {
		return err
	}
	defer func() { _ = e.reader.close() }()
	t, err := getTable(e.reader, e.config.Table)
	if err != nil {
		return fmt.Errorf("look for table inet %s: %w", e.config.Table, err)
	}
	b := bufio.NewWriter(w)
	if !t.exists {
		fmt.Fprintf(b, "# table inet %s does not exist\n", e.config.Table)
		return b.Flush()
	}
	fmt.Fprintf(b, "table inet %s {\n", e.config.Table)
	if err := e.showSets(b, limit); err != nil {
		return err
	}
	rules, err := listRules(e.reader, e.config.Table)
	if err != nil {
		return fmt.Errorf("list the rules of table inet %s: %w", e.config.Table, err)
	}
	sets := e.setList()
	texts := make(map[string]string)
	for _, r := range e.program(sets) {
		texts[string(r.mark())] = r.text
	}
	// A chain stands before those that go to it.
	order := []string{"cut", "softcut", "judge", "refuse", "gate", "awayfwd", "awayout"}
	for _, chain := range order {
		if !slices.Contains(chains(sets), chain) {
			continue
		}
		fmt.Fprintf(b, "\tchain %s {\n", chain)
		if base, ok := baseChains[chain]; ok {
			hook := map[uint32]string{unix.NF_INET_PRE_ROUTING: "prerouting", unix.NF_INET_FORWARD: "forward", unix.NF_INET_LOCAL_OUT: "output"}[base.hook]
			fmt.Fprintf(b, "\t\ttype filter hook %s priority %d; policy accept;\n", hook, base.priority)
		}
		for _, r := range rules {
			if r.chain != chain {
				continue
			}
			if text, ok := texts[r.mark]; ok {
				fmt.Fprintf(b, "\t\t%s\n", text)
			} else {
				fmt.Fprintf(b, "\t\t# the rule with handle %d is not ours\n", r.handle)
			}
		}
		fmt.Fprint(b, "\t}\n")
	}
	fmt.Fprint(b, "}\n")
	return b.Flush()
}

func (e *Enforcer) showSets(b *bufio.Writer, limit int) error {
	for _, s := range e.definitions() {
		fmt.Fprintf(b, "\tset %s {\n\t\ttype %s\n", s.Name, s.KeyType.Name)
		if s.Size > 0 {
			fmt.Fprintf(b, "\t\tsize %d\n", s.Size)
		}
		if flags := setFlags(s); flags != "" {
			fmt.Fprintf(b, "\t\tflags %s\n", flags)
		}
		if s.Timeout > 0 {
			fmt.Fprintf(b, "\t\ttimeout %s\n", nftTime(s.Timeout))
		}
		if s.Counter {
			fmt.Fprint(b, "\t\tcounter\n")
		}
		if s.Comment != "" {
			fmt.Fprintf(b, "\t\tcomment %q\n", s.Comment)
		}
		lines, more, err := e.showElements(s, limit)
		if err != nil {
			return fmt.Errorf("list set %s: %w", s.Name, err)
		}
		if len(lines) > 0 {
			fmt.Fprintf(b, "\t\telements = { %s }\n", strings.Join(lines, ",\n\t\t\t"))
		}
		if more {
			fmt.Fprintf(b, "\t\t# and more\n")
		}
		fmt.Fprint(b, "\t}\n")
	}
	return nil
}

func setFlags(s *nftables.Set) string {
	var flags []string
	if s.Interval {
		flags = append(flags, "interval")
	}
	if s.Dynamic {
		flags = append(flags, "dynamic")
	}
	if s.HasTimeout {
		flags = append(flags, "timeout")
	}
	return strings.Join(flags, ",")
}

// showElements gives up to limit elements, and says whether there are more.
func (e *Enforcer) showElements(s *nftables.Set, limit int) ([]string, bool, error) {
	var lines []string
	more := false
	add := func(key string, remaining time.Duration, comment string, count firewall.Counters) bool {
		if len(lines) >= limit {
			more = true
			return false
		}
		if s.Counter {
			key += fmt.Sprintf(" counter packets %d bytes %d", count.Packets, count.Bytes)
		}
		if remaining > 0 {
			key += " timeout " + nftTime(remaining)
		}
		if comment != "" {
			key += fmt.Sprintf(" comment %q", comment)
		}
		lines = append(lines, key)
		return true
	}
	l, err := dial(e.netns) // of its own: the rest of a long set stays unread
	if err != nil {
		return nil, false, permission(err)
	}
	defer func() { _ = l.close() }()
	if s.Interval {
		now := e.now()
		all, err := readSegments(l, e.config.Table, s.Name, e.now)
		for _, seg := range all {
			key := seg.first.String() + "-" + seg.last.String()
			if p := seg.prefixes(); len(p) == 1 {
				key = p[0].String()
			}
			remaining := time.Duration(0)
			if !seg.end.IsZero() {
				remaining = max(seg.end.Sub(now), time.Millisecond)
			}
			if !add(key, remaining, seg.comment, seg.count) {
				break
			}
		}
		return lines, more, ignore(err, unix.EINTR, unix.ENOENT)
	}
	err = dump(l, e.config.Table, s.Name, func(n entry) bool { return add(n.key.String(), n.remaining, n.comment, n.count) })
	return lines, more, ignore(err, unix.EINTR, unix.ENOENT)
}

// nftTime is a duration in nft's syntax, which has no fractions of a unit.
func nftTime(d time.Duration) string {
	ms := d.Milliseconds()
	if ms%1000 == 0 {
		return fmt.Sprintf("%ds", ms/1000)
	}
	return fmt.Sprintf("%ds%dms", ms/1000, ms%1000)
}
