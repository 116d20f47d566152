package engine

import (
	"slices"
	"unicode"
	"unicode/utf8"
)

// set is a set of runes: sorted, disjoint, non-adjacent ranges lo, hi, lo, hi, ... It is never
// changed once built.
type set []rune

var (
	setDigit   = set{'0', '9'}
	setWord    = set{'0', '9', 'A', 'Z', '_', '_', 'a', 'z'}
	setNewline = set{'\n', '\n'}
	// setSpace is what str.isspace accepts, as \s does in Python.
	setSpace = set{
		'\t', '\r', 0x1c, ' ', 0x85, 0x85, 0xa0, 0xa0, 0x1680, 0x1680, 0x2000, 0x200a,
		0x2028, 0x2029, 0x202f, 0x202f, 0x205f, 0x205f, 0x3000, 0x3000,
	}
	setAll = set{0, utf8.MaxRune}
	setDot = setNewline.negate()
)

// normalize sorts and merges ranges.
func normalize(ranges []rune) set {
	type pair struct{ lo, hi rune }
	pairs := make([]pair, 0, len(ranges)/2)
	for i := 0; i < len(ranges); i += 2 {
		pairs = append(pairs, pair{ranges[i], ranges[i+1]})
	}
	slices.SortFunc(pairs, func(a, b pair) int { return int(a.lo - b.lo) })
	var out set
	for _, p := range pairs {
		if n := len(out); n > 0 && p.lo <= out[n-1]+1 {
			out[n-1] = max(out[n-1], p.hi)
			continue
		}
		out = append(out, p.lo, p.hi)
	}
	return out
}

func (s set) negate() set {
	var out set
	next := rune(0)
	for i := 0; i < len(s); i += 2 {
		if s[i] > next {
			out = append(out, next, s[i]-1)
		}
		next = s[i+1] + 1
	}
	if next <= utf8.MaxRune {
		out = append(out, next, utf8.MaxRune)
	}
	return out
}

func (s set) contains(r rune) bool {
	for i := 0; i < len(s); i += 2 {
		if r <= s[i+1] {
			return r >= s[i]
		}
	}
	return false
}

// single returns the only rune of s.
func (s set) single() (rune, bool) {
	if len(s) == 2 && s[0] == s[1] {
		return s[0], true
	}
	return 0, false
}

// maxFold bounds the work of folding one range outside ASCII.
const maxFold = 4096

// foldRanges adds the other case of every letter. ASCII letters fold among themselves only: the
// Kelvin sign is no k and the long s no s, so that no filter is passed by look-alikes.
func foldRanges(ranges []rune) []rune {
	out := slices.Clone(ranges)
	for i := 0; i < len(ranges); i += 2 {
		lo, hi := ranges[i], ranges[i+1]
		for r := max(lo, 'A'); r <= min(hi, 'Z'); r++ {
			out = append(out, r+32, r+32)
		}
		for r := max(lo, 'a'); r <= min(hi, 'z'); r++ {
			out = append(out, r-32, r-32)
		}
		lo = max(lo, utf8.RuneSelf)
		for r := lo; r <= min(hi, lo+maxFold); r++ {
			for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
				if f >= utf8.RuneSelf {
					out = append(out, f, f)
				}
			}
		}
	}
	return out
}

// lowered returns the runes of s with ASCII letters in lower case, if they are at most limit.
func (s set) lowered(limit int) []rune {
	var out []rune
	for i := 0; i < len(s); i += 2 {
		if int(s[i+1]-s[i]) > 2*limit {
			return nil
		}
		for r := s[i]; r <= s[i+1]; r++ {
			l := r
			if 'A' <= r && r <= 'Z' {
				l += 32
			}
			if !slices.Contains(out, l) {
				out = append(out, l)
			}
			if len(out) > limit {
				return nil
			}
		}
	}
	return out
}
