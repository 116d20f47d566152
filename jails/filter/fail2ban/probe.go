package fail2ban

import (
	"slices"
	"strings"

	"stockade/jails/filter/engine"
)

// Bounds of the trials.
const (
	maxProbes = 60 // beginnings of a pattern
	maxWords  = 16 // words of a pattern that may be the daemon's name
)

// accepts reports which of some texts a pattern can take as its first part: whether some
// beginning of the pattern, cut between two of its parts, matches exactly that text. It returns
// -1 for none.
func accepts(pattern string, texts []string) int {
	found := -1
	try(pattern, func(matches func(string) bool) bool {
		found = slices.IndexFunc(texts, matches)
		return found >= 0
	})
	return found
}

// demands reports whether a pattern can take a text as its first part, where it could not take
// less in its place.
func demands(pattern, text string, less ...string) bool {
	return try(pattern, func(matches func(string) bool) bool {
		return matches(text) && !slices.ContainsFunc(less, matches)
	})
}

// try gives every beginning of a pattern to good, until it is content.
func try(pattern string, good func(matches func(string) bool) bool) bool {
	pattern = untag(pattern)
	machine := engine.NewMachine()
	for n, cut := range cuts(pattern) {
		if n > maxProbes {
			break
		}
		re, err := engine.Compile(`\A(?:`+pattern[:cut]+`)\Z`, engine.Options{NoNewline: true})
		if err != nil {
			continue // cut inside of something that only the whole pattern has, such as a conditional
		}
		if good(func(text string) bool {
			ok, err := machine.Search(re, []byte(text), nil)
			return err == nil && ok
		}) {
			return true
		}
	}
	return false
}

// words returns the words that stand literally in a pattern before the first address: one of
// them may be the name of the daemon whose lines it matches.
func words(pattern string) []string {
	pattern = untag(pattern)
	var out []string
	var word strings.Builder
	end := func() {
		w := strings.Trim(word.String(), "-/.")
		word.Reset()
		if len(w) > 1 && len(w) <= 48 && (w[0]|0x20 >= 'a' && w[0]|0x20 <= 'z') && len(out) < maxWords && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9', c == '_', c == '-', c == '/':
			word.WriteByte(c)
		case c == '\\' && i+1 < len(pattern):
			i++
			if strings.IndexByte("-./_", pattern[i]) >= 0 {
				word.WriteByte(pattern[i])
				continue
			}
			end()
		case c == '[':
			end()
			i = classEnd(pattern, i)
		case c == '(' && strings.HasPrefix(pattern[i:], "(?"):
			end()
			if n := strings.IndexAny(pattern[i:], ">:=!)"); n > 0 {
				i += n
			}
		default:
			end()
		}
	}
	end()
	return out
}

// untag makes plain groups of fail2ban's tags and ends the pattern before the first that stands
// for an address.
func untag(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		end := -1
		if pattern[i] == '<' {
			end = strings.IndexByte(pattern[i:], '>')
		}
		if end < 0 {
			b.WriteByte(pattern[i])
			continue
		}
		switch tag := pattern[i+1 : i+end]; {
		case strings.HasPrefix(tag, "/F-"):
			b.WriteString(")")
		case strings.HasPrefix(tag, "F-") && !strings.HasSuffix(tag, "/"):
			b.WriteString("(?:")
		case tag == "HOST" || tag == "ADDR" || tag == "IP4" || tag == "IP6" || tag == "DNS" || tag == "CIDR" ||
			tag == "SUBNET" || tag == "SKIPLINES" || strings.HasPrefix(tag, "F-"):
			return b.String()
		default:
			b.WriteByte('<')
			continue
		}
		i += end
	}
	return b.String()
}

// cuts returns the positions between the parts of a pattern, outside of all groups, up to the
// first alternative.
func cuts(pattern string) []int {
	var out []int
	depth := 0
	for i := 0; i < len(pattern); {
		switch pattern[i] {
		case '\\':
			i++
		case '[':
			i = classEnd(pattern, i)
		case '(':
			depth++
		case ')':
			depth--
		case '|':
			if depth == 0 {
				return out
			}
		}
		i++
		if depth > 0 || i > len(pattern) {
			continue
		}
		i = quantifierEnd(pattern, i)
		out = append(out, i)
	}
	return out
}

// classEnd returns the position of the ] that closes the class that begins at i.
func classEnd(pattern string, i int) int {
	i++
	if i < len(pattern) && pattern[i] == '^' {
		i++
	}
	for first := true; i < len(pattern); i, first = i+1, false {
		switch pattern[i] {
		case '\\':
			i++
		case ']':
			if !first {
				return i
			}
		}
	}
	return i
}

func quantifierEnd(pattern string, i int) int {
	if i >= len(pattern) {
		return len(pattern)
	}
	switch pattern[i] {
	case '*', '+', '?':
		i++
	case '{':
		if end := strings.IndexByte(pattern[i:], '}'); end > 0 {
			i += end + 1
		}
	default:
		return i
	}
	if i < len(pattern) && (pattern[i] == '?' || pattern[i] == '+') {
		i++
	}
	return i
}
