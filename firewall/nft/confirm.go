package nft

import (
	"errors"
	"fmt"

	"stockade/firewall"
)

// errReadBack is the Err of a change that the kernel took and does not have.
var errReadBack = errors.New("the kernel does not have the element as asked")

// confirm reads the operations back, and renews those that the kernel differs from.
func (e *Enforcer) confirm(ops []op, results []firewall.Result) error {
	differ, err := e.readBack(ops, results)
	if err != nil {
		return err
	}
	return e.renew(differ, results)
}

// renew sets elements again that existed and kept their end or comment: kernels before 6.12 change
// nothing of an element that is added again, later ones its end alone, and its counter goes on.
func (e *Enforcer) renew(differ []op, results []firewall.Result) error {
	if len(differ) == 0 {
		return nil
	}
	for i := range differ {
		differ[i].renew = true
	}
	if err := e.write(differ); errors.Is(err, firewall.ErrCapability) {
		return err
	} else if err != nil && !errors.Is(err, errUnknown) {
		for _, o := range differ {
			e.fail(o, results, fmt.Errorf("set %s: %w", o.set.name(), err))
		}
		return nil
	}
	differ, err := e.readBack(differ, results)
	for _, o := range differ {
		e.fail(o, results, fmt.Errorf("set %s: %w", o.set.name(), errReadBack))
	}
	return err
}

// readBack asks for each operation's key and gives the operations that the kernel differs from.
func (e *Enforcer) readBack(ops []op, results []firewall.Result) ([]op, error) {
	ask := e.asked.reset()
	for _, o := range ops {
		ask.add(o)
	}
	if err := get(e.reader, e.config.Table, ask.queries); err != nil {
		return nil, fmt.Errorf("read back: %w", err)
	}
	return e.differing(ops, ask.queries, results), nil
}

// differing gives the operations that their answers differ from.
func (e *Enforcer) differing(ops []op, answers []query, results []firewall.Result) []op {
	var differ []op
	for i := range answers {
		q, o := &answers[i], &ops[i]
		switch {
		case q.err != nil:
			e.fail(*o, results, fmt.Errorf("set %s: %w", q.set, q.err))
		case q.agrees(o):
			e.sample(o)
			if i == len(ops)-1 || ops[i+1].set != o.set {
				e.filled[o.set] = q.at
			}
		default:
			differ = append(differ, *o)
		}
	}
	return differ
}

// asked is the memory of queries, which is used again.
type asked struct {
	queries []query
	set     setID // of the last one
	name    string
}

func (a *asked) reset() *asked {
	a.queries = a.queries[:0]
	return a
}

// add asks for what an operation is about.
func (a *asked) add(o op) {
	if a.name == "" || a.set != o.set {
		a.set, a.name = o.set, o.set.name()
	}
	a.queries = append(a.queries, query{set: a.name, key: o.key, present: !o.remove})
}

// agrees says whether the kernel has what the operation makes of its element.
func (q *query) agrees(o *op) bool {
	if o.remove {
		return !q.found
	}
	return q.found && q.ends(o.end) && q.entry.comment == o.comment
}
