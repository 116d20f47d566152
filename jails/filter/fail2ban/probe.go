package fail2ban

import (
	"strings"

	"stockade/jails/filter/engine"
)

// maxProbes bounds how many beginnings of a pattern are tried.
const maxProbes = 200

// accepts reports whether a pattern that is bound to the beginning of the line can take a text as
// its first part: whether some beginning of the pattern, cut between two of its parts, matches
// exactly that text.
func accepts(pattern, text string) bool {
	if !strings.HasPrefix(pattern, "^") {
		return false
	}
	pattern = untag(pattern)
	machine := engine.NewMachine()
	for n, cut := range cuts(pattern) {
		if n > maxProbes {
			return false
		}
		re, err := engine.Compile(pattern[:cut]+`\Z`, engine.Options{NoNewline: true})
		if err != nil {
			continue // cut inside of something that only the whole pattern has, such as a conditional
		}
		if ok, err := machine.Search(re, []byte(text), nil); err == nil && ok {
			return true
		}
	}
	return false
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
