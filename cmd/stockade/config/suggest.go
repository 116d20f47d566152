package config

import (
	"strconv"
	"strings"

	"github.com/agext/levenshtein"
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
		if d := levenshtein.Distance(fold(word), fold(l), nil); d < distance {
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
