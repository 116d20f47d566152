package engine

import "unicode/utf8"

// analyze finds what lets a search end before it begins.
func (re *Regexp) analyze() {
	p := re.prog
	re.anchored = p.beginsOnly()
	re.tailed = re.endsOnly()
	re.anyFirst = true
	re.entry = p.start
	if !re.anchored {
		return
	}
	pc := p.start
	past := false // the anchor
	for {
		in := &p.insts[pc]
		switch {
		case in.op == opCapture:
			re.slots = append(re.slots, preset{int(in.arg), len(re.prefix)})
			pc = in.out
			continue
		case in.op == opAssert && assertion(in.arg) == beginText && re.prefix == "":
			past, pc = true, in.out
			continue
		case in.op == opRune && past:
			if r, ok := p.sets[in.arg].single(); ok && r < utf8.RuneSelf && r != '\n' {
				re.prefix += string(r)
				pc = in.out
				continue
			}
		}
		break
	}
	if re.prefix != "" {
		re.entry = pc
	} else {
		re.slots = nil
	}
	re.firstBytes(pc)
}

// beginsOnly says whether every match passes the assertion of the subject's beginning before its
// first rune.
func (p *program) beginsOnly() bool {
	seen := map[uint32]bool{p.start: true}
	todo := []uint32{p.start}
	push := func(pc uint32) {
		if !seen[pc] {
			seen[pc] = true
			todo = append(todo, pc)
		}
	}
	for len(todo) > 0 {
		in := &p.insts[todo[len(todo)-1]]
		todo = todo[:len(todo)-1]
		switch in.op {
		case opMatch, opRune, opBackref:
			return false
		case opAssert:
			if assertion(in.arg) != beginText {
				push(in.out)
			}
		case opAlt:
			push(in.out)
			push(in.arg)
		case opCapture, opLook, opBehind:
			push(in.out)
		}
	}
	return true
}

// endsOnly says whether every match ends at the subject's end, by an assertion behind its last
// rune, and none is possible without passing one.
func (re *Regexp) endsOnly() bool {
	p := re.prog
	main := p.main()
	// From the end backwards: which instructions reach opMatch without rune and assertion.
	open := make([]bool, len(p.insts))
	for again := true; again; {
		again = false
		for _, pc := range main {
			in := &p.insts[pc]
			v := false
			switch in.op {
			case opMatch:
				v = true
			case opAlt:
				v = open[in.out] || open[in.arg]
			case opCapture, opLook, opBehind:
				v = open[in.out]
			case opAssert:
				a := assertion(in.arg)
				v = open[in.out] && a != endText && a != endLast
			case opBackref:
				v = open[in.out]
			}
			if v && !open[pc] {
				open[pc], again = true, true
			}
		}
	}
	for _, pc := range main {
		in := &p.insts[pc]
		if (in.op == opRune || in.op == opBackref) && open[in.out] {
			return false
		}
	}
	return !open[p.start]
}

// main returns the main part in the order of evaluation.
func (p *program) main() []uint32 {
	from := 0
	if n := len(p.blocks); n > 1 {
		from = p.blocks[n-2].end
	}
	return p.order[from:]
}

// firstBytes fills re.first with the bytes that may stand at pc.
func (re *Regexp) firstBytes(pc uint32) {
	p := re.prog
	seen := map[uint32]bool{}
	var visit func(pc uint32) bool
	visit = func(pc uint32) bool {
		if seen[pc] {
			return true
		}
		seen[pc] = true
		in := &p.insts[pc]
		switch in.op {
		case opRune:
			s := p.sets[in.arg]
			for b := range utf8.RuneSelf {
				re.first[b] = re.first[b] || s.contains(rune(b))
			}
			if n := len(s); n > 0 && s[n-1] >= utf8.RuneSelf {
				for b := utf8.RuneSelf; b < 256; b++ {
					re.first[b] = true
				}
			}
			return true
		case opAlt:
			return visit(in.out) && visit(in.arg)
		case opCapture, opAssert, opLook, opBehind:
			return visit(in.out)
		}
		return in.op == opFail
	}
	re.anyFirst = !visit(pc)
}

// minBytes returns a lower bound of the bytes that n takes.
func minBytes(n *node) int {
	const enough = 1 << 16
	sum := 0
	switch n.kind {
	case kSet:
		sum = 1
	case kConcat:
		for _, s := range n.subs {
			sum = min(sum+minBytes(s), enough)
		}
	case kAlt, kCond:
		sum = minBytes(n.subs[0])
		for _, s := range n.subs[1:] {
			sum = min(sum, minBytes(s))
		}
	case kGroup:
		sum = minBytes(n.subs[0])
	case kRepeat:
		sum = min(n.min*minBytes(n.subs[0]), enough)
	}
	return sum
}
