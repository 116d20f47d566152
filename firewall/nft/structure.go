package nft

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// udataMark is the type of what we keep beside a rule; nft uses the numbers from 0.
const udataMark = 0x53

// mark is kept beside the rule in the kernel, by which it is known again.
func (r rule) mark() []byte {
	sum := sha256.Sum256([]byte(r.chain + "\x00" + r.text))
	return append([]byte{udataMark, 8}, sum[:8]...)
}

// foundRule is a rule of our table as the kernel has it.
type foundRule struct {
	chain  string
	mark   string
	handle uint64
}

func listRules(l *link, table string) ([]foundRule, error) {
	var out []foundRule
	l.enc.b = l.enc.b[:0]
	m := l.enc.begin(unix.NFT_MSG_GETRULE, unix.NLM_F_DUMP)
	l.enc.text(unix.NFTA_RULE_TABLE, table)
	l.enc.end(m)
	err := l.ask(unix.NFT_MSG_NEWRULE, func(b []byte) bool {
		var f foundRule
		for t, v := range attrs(b) {
			switch t {
			case unix.NFTA_RULE_CHAIN:
				f.chain = text(v)
			case unix.NFTA_RULE_HANDLE:
				f.handle = be64(v)
			case unix.NFTA_RULE_USERDATA:
				f.mark = string(v)
			}
		}
		out = append(out, f)
		return true
	})
	return out, err
}

// chainInfo is a base chain as the kernel has it.
type chainInfo struct {
	hook     uint32
	priority int32
	policy   uint32
}

// the hooks of our base chains.
var baseChains = map[string]chainInfo{
	"gate":    {unix.NF_INET_PRE_ROUTING, gatePriority, 1},
	"awayfwd": {unix.NF_INET_FORWARD, awayPriority, 1},
	"awayout": {unix.NF_INET_LOCAL_OUT, awayPriority, 1},
}

// readBase gives a base chain; the zero value when there is none.
func readBase(l *link, table, chain string) (chainInfo, error) {
	var out chainInfo
	l.enc.b = l.enc.b[:0]
	m := l.enc.begin(unix.NFT_MSG_GETCHAIN, 0)
	l.enc.text(unix.NFTA_CHAIN_TABLE, table)
	l.enc.text(unix.NFTA_CHAIN_NAME, chain)
	l.enc.end(m)
	err := l.ask(unix.NFT_MSG_NEWCHAIN, func(b []byte) bool {
		hook := attr(b, unix.NFTA_CHAIN_HOOK)
		out = chainInfo{
			be32(attr(hook, unix.NFTA_HOOK_HOOKNUM)), int32(be32(attr(hook, unix.NFTA_HOOK_PRIORITY))), be32(attr(b, unix.NFTA_CHAIN_POLICY)),
		}
		return true
	})
	return out, ignore(err, unix.ENOENT)
}

// flaw is one thing of our table that is not as it must be.
type flaw struct {
	text string
	lost bool // elements went with it
}

// check compares table, sets, chains and rules with what they must be.
func (e *Enforcer) check() ([]flaw, error) {
	var flaws []flaw
	var err error
	for range retries {
		flaws, err = e.checkOnce()
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ENOENT) { // changed while it was read
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("check table inet %s: %w", e.config.Table, err)
	}
	return flaws, nil
}

func (e *Enforcer) checkOnce() ([]flaw, error) {
	l, table := e.reader, e.config.Table
	t, err := getTable(l, table)
	switch {
	case err != nil:
		return nil, err
	case !t.exists:
		return []flaw{{"the table is gone", true}}, nil
	}
	var flaws []flaw
	if t.flags&tableDormant != 0 {
		flaws = append(flaws, flaw{"the table is dormant", false})
	}
	sets, err := listSets(l, table)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]found, len(sets))
	for _, f := range sets {
		byName[f.name] = f
	}
	for _, s := range e.definitions() {
		if f, ok := byName[s.Name]; !ok {
			flaws = append(flaws, flaw{fmt.Sprintf("set %s is gone", s.Name), true})
		} else if !f.fits(s) {
			flaws = append(flaws, flaw{fmt.Sprintf("set %s is of another kind", s.Name), true})
		}
		delete(byName, s.Name)
	}
	for name := range byName {
		flaws = append(flaws, flaw{fmt.Sprintf("set %s is not ours", name), false})
	}
	rules, err := listRules(l, table)
	if err != nil {
		return nil, err
	}
	ids := e.setList()
	program := e.program(ids)
	for _, chain := range chains(ids) {
		var want, have []string
		for _, r := range program {
			if r.chain == chain {
				want = append(want, string(r.mark()))
			}
		}
		for _, r := range rules {
			if r.chain == chain {
				have = append(have, r.mark)
			}
		}
		if !slices.Equal(want, have) {
			flaws = append(flaws, flaw{fmt.Sprintf("chain %s has %d rules, not our %d", chain, len(have), len(want)), false})
		}
		if base, ok := baseChains[chain]; ok {
			got, err := readBase(l, table, chain)
			if err != nil {
				return nil, err
			}
			if got != base {
				flaws = append(flaws, flaw{fmt.Sprintf("chain %s is not at its hook", chain), false})
			}
		}
	}
	return flaws, nil
}
