package engine

import (
	"bytes"
	"testing"
)

func TestWordsAreFoundWhereTheyStand(t *testing.T) {
	texts := []string{"", "a", "port ", "Failed password for root", "Failed passwore", "aaaaaaaaaaaaaaaaaaaa", "\xff\x00\xffabcdefgh"}
	for _, word := range []string{"a", "port ", "password", "password ", "aaaaaaa", "aaaaaaaa", "aaaaaaaaaaaa", "\xff", "\x00", "\xff\x00\xffabcdefgh"} {
		w := newWords(word)
		for _, text := range texts {
			for pos := range len(text) + 1 {
				if got, want := w.at([]byte(text), pos), bytes.HasPrefix([]byte(text[pos:]), []byte(word)); got != want {
					t.Errorf("%q at %d of %q: %t", word, pos, text, got)
				}
			}
		}
	}
}
