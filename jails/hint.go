package jails

import (
	"fmt"

	"github.com/agext/levenshtein"
)

// hint is "; did you mean …?" for the word nearest to the given one, or "" when none is near.
func hint(given string, words []string) string {
	const longest, furthest = 64, 2 // bytes of what is compared, and changes of one character
	if len(given) > longest {
		return ""
	}
	best, distance := "", furthest+1
	for _, w := range words {
		if d := levenshtein.Distance(given, w, nil); d < distance && d < len(w) {
			best, distance = w, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
