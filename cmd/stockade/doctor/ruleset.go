package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

const (
	nftLimit  = 5 * time.Second // for one run of nft
	maxOutput = 64 << 20        // bytes of a ruleset that are read
	maxGets   = 64              // sets that are asked for one address
	maxJumps  = 8               // chains that are followed from a rule
	maxRules  = 100_000         // rules that are looked at for one address
)

// Ruleset is what nftables held beside our own table when it was read. It is immutable.
type Ruleset struct {
	chains     map[string]*chain // by "family table chain"
	order      []*chain
	sets       map[string]string // "family table set" to its type; "" for one that is no set of addresses
	Flowtables []string          // "family table name"
	opaque     bool              // some rule has matches that nft cannot show

	run func(ctx context.Context, args ...string) ([]byte, error)
}

// chain is one chain of another program.
type chain struct {
	family, table, name string
	Hook                string // "" for a chain that is jumped to
	Type                string
	Policy              string
	rules               []rule
}

func (c *chain) key(name string) string { return c.family + " " + c.table + " " + name }

type rule struct {
	handle int64
	expr   []map[string]json.RawMessage
}

// Stop is a rule that stops packets of an address.
type Stop struct {
	Table, Chain string // Table is family and name
	Handle       int64
	Verdict      string // drop, reject
	Match        string // what selects the address
	Conditional  bool   // the rule asks for more than the address
}

// Read lists all tables but `inet own`, without the elements of named sets. It needs CAP_NET_ADMIN
// and the program nft.
func Read(ctx context.Context, own string) (*Ruleset, error) {
	return read(ctx, own, nft)
}

// nft runs the program and returns what it writes.
func nft(ctx context.Context, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, nftLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nft", args...)
	cmd.WaitDelay = time.Second
	var out, complaint limited
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("nft %s: %w", args[0], ctx.Err())
	case errors.Is(err, exec.ErrNotFound):
		return nil, errors.New("the program nft is not installed")
	case err != nil:
		first, _, _ := strings.Cut(strings.TrimSpace(string(complaint.b)), "\n")
		return nil, &complaintError{text: first, err: err}
	}
	return out.b, nil
}

// complaintError is nft's own word on why it failed.
type complaintError struct {
	text string
	err  error
}

func (e *complaintError) Error() string { return fmt.Sprintf("nft: %s (%v)", e.text, e.err) }
func (e *complaintError) Unwrap() error { return e.err }

// limited keeps the first maxOutput bytes.
type limited struct{ b []byte }

func (l *limited) Write(p []byte) (int, error) {
	if len(l.b)+len(p) > maxOutput {
		return 0, fmt.Errorf("more than %d bytes", maxOutput)
	}
	l.b = append(l.b, p...)
	return len(p), nil
}

func read(ctx context.Context, own string, run func(context.Context, ...string) ([]byte, error)) (*Ruleset, error) {
	out, err := run(ctx, "-j", "-t", "list", "ruleset")
	if err != nil {
		return nil, err
	}
	r, err := parse(out, own)
	if err != nil {
		return nil, err
	}
	r.run = run
	return r, nil
}

// object is one item of nft's JSON.
type object struct {
	Chain *struct {
		Family, Table, Name, Hook, Type, Policy string
	}
	Set *struct {
		Family, Table, Name string
		Type                json.RawMessage
	}
	Rule *struct {
		Family, Table, Chain string
		Handle               int64
		Expr                 []map[string]json.RawMessage
	}
	Flowtable *struct {
		Family, Table, Name string
	}
}

func parse(out []byte, own string) (*Ruleset, error) {
	var doc struct{ Nftables []object }
	if err := json.Unmarshal(out, &doc); err != nil {
		return nil, fmt.Errorf("read what nft lists: %w", err)
	}
	r := &Ruleset{chains: make(map[string]*chain), sets: make(map[string]string)}
	ours := func(family, table string) bool { return family == "inet" && table == own }
	for _, o := range doc.Nftables {
		switch {
		case o.Chain != nil && !ours(o.Chain.Family, o.Chain.Table):
			c := &chain{family: o.Chain.Family, table: o.Chain.Table, name: o.Chain.Name, Hook: o.Chain.Hook, Type: o.Chain.Type, Policy: o.Chain.Policy}
			r.chains[c.key(c.name)] = c
			r.order = append(r.order, c)
		case o.Set != nil && !ours(o.Set.Family, o.Set.Table):
			var typ string
			_ = json.Unmarshal(o.Set.Type, &typ) // a list of types is no set of addresses
			r.sets[o.Set.Family+" "+o.Set.Table+" "+o.Set.Name] = typ
		case o.Flowtable != nil && !ours(o.Flowtable.Family, o.Flowtable.Table):
			r.Flowtables = append(r.Flowtables, o.Flowtable.Family+" "+o.Flowtable.Table+" "+o.Flowtable.Name)
		}
	}
	for _, o := range doc.Nftables {
		if o.Rule == nil {
			continue
		}
		if c := r.chains[o.Rule.Family+" "+o.Rule.Table+" "+o.Rule.Chain]; c != nil {
			c.rules = append(c.rules, rule{o.Rule.Handle, o.Rule.Expr})
			for _, e := range o.Rule.Expr {
				if _, ok := e["xt"]; ok {
					r.opaque = true
				}
			}
		}
	}
	return r, nil
}

// Stopping finds the rules that single addr out and stop its packets: those that match it by its
// source address, in chains that see packets of others come in. Notes say what could not be read.
func (r *Ruleset) Stopping(ctx context.Context, addr netip.Prefix) (stops []Stop, notes []string) {
	q := &question{r: r, ctx: ctx, addr: addr, held: make(map[string]bool), left: maxRules}
	for _, c := range r.order {
		switch c.Hook {
		case "ingress", "prerouting", "input", "forward":
			q.chain(c, "", false, 0)
		}
	}
	if q.left < 0 {
		q.notes = append(q.notes, fmt.Sprintf("only the first %d rules of other tables were looked at", maxRules))
	}
	if r.opaque {
		q.notes = append(q.notes, "rules of iptables have matches that nft cannot show, such as ipsets: they may stop it too")
	}
	return q.stops, q.notes
}

// question is one address in search of rules.
type question struct {
	r     *Ruleset
	ctx   context.Context
	addr  netip.Prefix
	held  map[string]bool // answers of sets
	left  int             // rules that may still be looked at
	stops []Stop
	notes []string
}

// notIn begins a match of everybody outside of something. With a further condition such a rule says
// nothing about one address: a port that is open to few, for example.
const notIn = "not "

// chain looks at the rules of c. match is what selected the address on the way there, "" for nothing
// yet.
func (q *question) chain(c *chain, match string, conditional bool, depth int) {
	for _, x := range c.rules {
		if q.left--; q.left < 0 {
			return
		}
		found, more, fits := q.fits(c, x)
		if !fits {
			continue
		}
		if found == "" {
			found = match
		}
		more = more || conditional
		for _, e := range x.expr {
			for _, verdict := range [...]string{"drop", "reject"} {
				vague := found == "" || more && strings.HasPrefix(found, notIn)
				if _, ok := e[verdict]; ok && !vague {
					q.stops = append(q.stops, Stop{c.family + " " + c.table, c.name, x.handle, verdict, found, more})
				}
			}
			for _, jump := range [...]string{"jump", "goto"} {
				var to struct{ Target string }
				if raw, ok := e[jump]; ok && depth < maxJumps && json.Unmarshal(raw, &to) == nil {
					if next := q.r.chains[c.key(to.Target)]; next != nil {
						q.chain(next, found, more, depth+1)
					}
				}
			}
		}
	}
}

// fits reports whether a rule's matches of source addresses hold for the address, what of them
// selects it, and whether the rule asks for more.
func (q *question) fits(c *chain, x rule) (match string, conditional, fits bool) {
	for _, e := range x.expr {
		raw, ok := e["match"]
		if !ok {
			if _, xt := e["xt"]; xt {
				conditional = true
			}
			continue
		}
		var m struct {
			Op   string
			Left struct {
				Payload struct{ Protocol, Field string }
			}
			Right json.RawMessage
		}
		if json.Unmarshal(raw, &m) != nil || m.Left.Payload.Field != "saddr" {
			conditional = true
			continue
		}
		if (m.Left.Payload.Protocol == "ip") != q.addr.Addr().Is4() || m.Left.Payload.Protocol != "ip" && m.Left.Payload.Protocol != "ip6" {
			return "", false, false
		}
		what, held := q.holds(c, m.Right)
		switch {
		case m.Op == "!=" && !held:
			match = notIn + what
		case m.Op != "!=" && held:
			match = what
		default:
			return "", false, false
		}
	}
	return match, conditional, true
}

// holds reports whether the right side of a match holds the address, and names it.
func (q *question) holds(c *chain, raw json.RawMessage) (what string, held bool) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		if name, ok := strings.CutPrefix(text, "@"); ok {
			return "set " + name, q.inSet(c, name)
		}
		a, err := netip.ParseAddr(text)
		return text, err == nil && q.addr.Contains(a)
	}
	var v struct {
		Prefix *struct {
			Addr netip.Addr
			Len  int
		}
		Range []netip.Addr
		Set   []json.RawMessage
		Elem  *struct{ Val json.RawMessage }
	}
	if json.Unmarshal(raw, &v) != nil {
		return "an expression", false
	}
	switch {
	case v.Prefix != nil:
		p := netip.PrefixFrom(v.Prefix.Addr, v.Prefix.Len)
		return p.String(), p.Overlaps(q.addr)
	case len(v.Range) == 2:
		a := q.addr.Addr()
		return fmt.Sprintf("%s-%s", v.Range[0], v.Range[1]), !a.Less(v.Range[0]) && !v.Range[1].Less(a)
	case v.Elem != nil:
		return q.holds(c, v.Elem.Val)
	case v.Set != nil:
		for _, item := range v.Set {
			if what, held := q.holds(c, item); held {
				return what, true
			}
		}
		return "a list of addresses", false
	}
	return "an expression", false
}

// plain is a name that nft's grammar takes as it is.
var plain = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// inSet asks whether a named set holds the address.
func (q *question) inSet(c *chain, name string) bool {
	key := c.key(name)
	if held, ok := q.held[key]; ok {
		return held
	}
	want := "ipv6_addr"
	if q.addr.Addr().Is4() {
		want = "ipv4_addr"
	}
	typ, known := q.r.sets[key]
	held := false
	switch {
	case known && typ != want:
	case len(q.held) >= maxGets || !plain.MatchString(c.table) || !plain.MatchString(name):
		q.notes = append(q.notes, fmt.Sprintf("set %s of table %s %s was not asked", name, c.family, c.table))
	default:
		_, err := q.r.run(q.ctx, "get", "element", c.family, c.table, name, "{ "+q.addr.Addr().String()+" }")
		held = err == nil
		var said *complaintError
		absent := errors.As(err, &said) && strings.Contains(said.text, "No such file")
		if err != nil && !absent {
			q.notes = append(q.notes, fmt.Sprintf("set %s of table %s %s cannot be asked: %v", name, c.family, c.table, err))
		}
	}
	q.held[key] = held
	return held
}
