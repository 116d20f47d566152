package receiver

import (
	"fmt"
	"strings"

	"github.com/agext/levenshtein"
)

// didYouMean names the candidate nearest to word as a question, "" when none is near.
func didYouMean(word string, candidates []string) string {
	const longest = 64 // no candidate is that long
	word = strings.ToLower(word[:min(len(word), longest)])
	best, distance := "", 3
	for _, c := range candidates {
		if d := levenshtein.Distance(word, c, nil); d < distance && d < len(c) {
			best, distance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
