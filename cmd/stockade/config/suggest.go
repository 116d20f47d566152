package config

import (
	"strconv"
	"strings"
)

// suggest returns `; did you mean "x"?` for the legal word nearest to a wrong one, or a list of
// the legal words when none is near.
func suggest(word string, legal []string) string {
	if near := nearest(word, legal); near != "" {
		return "; did you mean " + strconv.Quote(near) + "?"
	}
	return "; legal: " + strings.Join(legal, ", ")
}

// nearest returns the legal word that a wrong one is most likely meant to be, or "".
func nearest(word string, legal []string) string {
	best, distance := "", min(len(word)/3+2, 4)
	for _, l := range legal {
		if d := editDistance(fold(word), fold(l)); d < distance {
			best, distance = l, d
		}
	}
	return best
}

// fold removes what people vary: case, underscores and dashes. A long word is cut, as no legal
// one is that long.
func fold(s string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(s[:min(len(s), 64)]))
}

// editDistance counts the insertions, deletions, changes and swaps of neighbours that turn a
// into b.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// quoteAll returns the words in quotes, separated by commas.
func quoteAll(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	return strings.Join(quoted, ", ")
}

// clip returns text in quotes, cut to 80 bytes: what a file holds can be long and hostile.
func clip(text string) string {
	if len(text) > 80 {
		return strconv.Quote(strings.ToValidUTF8(text[:80], "")) + "..."
	}
	return strconv.Quote(text)
}
