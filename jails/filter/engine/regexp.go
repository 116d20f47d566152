// Package engine compiles patterns in the syntax of Python's re, as fail2ban's filters use it,
// searches lines with them, and finds which of many patterns can match a line: by the texts that they
// begin with, or by one scan for literals that they need.
//
// Regexps, Scanners and Heads are immutable and may be used by many goroutines; a Machine is the
// scratch memory of one. The subject's bytes are only read, and only during the call.
//
// A search reads the line backwards once, keeping the set of program positions from which a
// match can be completed, and then walks forwards, at each choice taking the first that can be:
// there is nothing to retry, so that lookaheads, lookbehinds and conditionals cost the same linear
// time as everything else. The sets are states of an automaton that is built as lines need it and
// remembered by the Machine. Only patterns with backreferences retry, among the positions that
// the first pass left, and only up to a step budget.
//
// Patterns of the common shape have a direct program beside it, which reads the line forwards and
// asks the general engine only where that would cost too much. Its answers are the same.
//
// Differences from Python's re on str, chosen so that look-alikes pass no filter: \d, \w and \b
// know ASCII only, and ASCII letters fold only among themselves. \s is Python's, with the Unicode
// spaces. Invalid UTF-8 reads as U+FFFD, one for each byte. A loop takes no empty turn after one
// that took text, as in Go's regexp: (a*)* leaves its group on the last text taken.
//
// Not supported, with a reason: the flags x and L, \N{...}, possessive repeats and atomic groups
// around more than one character, backreferences inside lookarounds, and conditionals that ask
// for a group inside a lookaround.
package engine

import "sync/atomic"

// Options says how a pattern is compiled.
type Options struct {
	Multiline bool // ^ and $ also match at line ends inside the subject (Python's re.MULTILINE)
	FoldCase  bool // as if the pattern began with (?i)
	// NoNewline means that the subject is all there is. Otherwise the subject is a line whose
	// final newline was cut, and the search behaves as if it still stood there: $ matches
	// before it, \s may take it, \Z matches only behind it. Offsets never point behind the
	// subject's own bytes.
	NoNewline bool
}

// nextID numbers the Regexps of this process.
var nextID atomic.Uint64

// Regexp is a compiled pattern. It is immutable.
type Regexp struct {
	id       uint64 // spreads Regexps over a Machine's slots
	pattern  string
	opt      Options
	names    []string
	literals []string
	heads    []string
	prog     *program
	alpha    *alphabet
	ctx      context

	anchored bool      // a match begins at the subject's beginning only
	tailed   bool      // a match ends at the subject's end only, and is not empty
	minBytes int       // no match is shorter
	prefix   string    // an anchored match begins with it
	entry    uint32    // the instruction behind prefix
	slots    []preset  // captures that lie in prefix
	first    [256]bool // the byte behind prefix
	anyFirst bool      // first says nothing

	direct *direct // how to search without the above; nil: not at all
}

// preset is a slot whose value the prefix decides.
type preset struct{ slot, at int }

// Compile compiles a pattern of at most 64 KiB. The error is an *Error.
func Compile(pattern string, o Options) (re *Regexp, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *Error:
			re, err = nil, r
		default:
			panic(r)
		}
	}()
	tree, names, err := parse(pattern, flags{fold: o.FoldCase, multi: o.Multiline})
	if err != nil {
		return nil, err
	}
	re = &Regexp{id: nextID.Add(1), pattern: pattern, opt: o, names: names}
	re.prog = build(pattern, tree, len(names)-1)
	var ok bool
	if re.alpha, ok = newAlphabet(re.prog); !ok {
		return nil, &Error{pattern, 0, "the pattern tells more than 255 kinds of characters apart"}
	}
	if re.ctx, ok = newContext(re.prog, re.alpha); !ok {
		return nil, &Error{pattern, 0, "the pattern has too many different look-behinds, or too long ones"}
	}
	re.analyze()
	re.literals = literals(tree)
	re.minBytes = minBytes(tree)
	if re.anchored {
		re.heads = heads(tree)
		if !re.prog.backs {
			re.direct = newDirect(tree)
		}
	}
	return re, nil
}

// String returns the pattern's source.
func (re *Regexp) String() string { return re.pattern }

// Groups returns the number of capturing groups.
func (re *Regexp) Groups() int { return len(re.names) - 1 }

// Names returns the groups' names: the index is the group's number, unnamed ones are empty,
// and index 0 is the whole match. The slice must not be changed.
func (re *Regexp) Names() []string { return re.names }

// Literals returns strings of which every match contains at least one, ASCII letters in lower
// case whatever the pattern's case; nil when there is no such set. They are meant for a Scanner,
// which ignores case. The slice must not be changed.
func (re *Regexp) Literals() []string { return re.literals }

// Heads returns strings with one of which every match begins, at the subject's beginning; nil when
// there is no such set. They are meant for Heads. The slice must not be changed.
func (re *Regexp) Heads() []string { return re.heads }

// Budgeted says whether searches may end in ErrBudget on ordinary hostile lines: the pattern has
// backreferences. All other patterns take time linear in the line, and ErrBudget only where
// repeats of thousands meet a line made for them.
func (re *Regexp) Budgeted() bool { return re.prog.backs }
