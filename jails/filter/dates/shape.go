package dates

import (
	"strings"
	"unicode/utf8"
)

// context recognises a pattern of the form ^[^x]*x, where the date follows the first x of the
// line. It returns x, and where the rest of the pattern begins.
func context(body string) (mark byte, n int) {
	rest, ok := strings.CutPrefix(body, "^[^")
	if !ok {
		return 0, 0
	}
	class, rest, ok := strings.Cut(rest, "]*")
	if !ok || len(strings.TrimPrefix(class, `\`)) != 1 || class[len(class)-1] >= 0x80 || isLetter(class[len(class)-1]) {
		return 0, 0
	}
	for _, form := range []string{"(" + class, class + "(", class} {
		if after, ok := strings.CutPrefix(rest, form); ok {
			if after == "" || strings.IndexByte("?*+{", after[0]) >= 0 {
				return 0, 0
			}
			return class[len(class)-1], len(body) - len(after)
		}
	}
	return 0, 0
}

// beginsLine reports whether a pattern is bound to the beginning of the line.
func beginsLine(pattern string) bool {
	return hasPrefixFold(pattern, lineBegin) || openedBy(pattern, "^")
}

// openedBy reports whether a pattern begins with the mark, be it inside groups.
func openedBy(body, mark string) bool {
	for {
		if rest, ok := strings.CutPrefix(body, mark); ok {
			return mark != "^" || !strings.HasPrefix(rest, "|")
		}
		switch {
		case strings.HasPrefix(body, "(?:"):
			body = body[3:]
		case strings.HasPrefix(body, "(") && !strings.HasPrefix(body, "(?"):
			body = body[1:]
		default:
			return false
		}
	}
}

// endsFree reports whether nothing is demanded of what follows the pattern.
func endsFree(body string) bool {
	body = strings.TrimRight(body, ")")
	for _, end := range []string{"**", "$", `\b`, `\s`} {
		if strings.HasSuffix(body, end) && !strings.HasSuffix(body, `\\`+end[1:]) {
			return true
		}
	}
	return false
}

// hasGroup reports whether the pattern has a capturing group of its own.
func hasGroup(body string) bool {
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '\\':
			i++
		case '(':
			if i+1 >= len(body) || body[i+1] != '?' {
				return true
			}
		}
	}
	return false
}

// Words that a date may begin with.
type words uint8

const (
	anyWord   words = iota
	nameWords       // the name of a month or a day
	zoneWords       // or the name of a zone, or an offset
)

// leads returns the bytes and the words that a pattern behind {^LN-BEG} can begin with; nil: not
// known.
func leads(body string) (*[256]bool, words) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for _, l := range []struct {
		prefix, chars string
		words         words
	}{
		{"%ExY", "2", 0}, {"%Exy", digits, 0}, {"%Y", digits, 0}, {"%H", digits, 0}, {"%m", digits, 0}, {"%d", digits + " ", 0},
		{"(?:%a )?%b", letters, nameWords}, {"%b", letters, nameWords}, {"(?:%Z )?(?:%a )?%b", letters, zoneWords},
		{"(?:%z )?(?:%a )?%b", letters + "+-", zoneWords},
	} {
		if strings.HasPrefix(body, l.prefix) && safeBars(body) {
			return set(l.chars), l.words
		}
	}
	return nil, anyWord
}

// hasClockAlways reports whether every match has a colon before a digit: whether minutes stand
// behind a colon where neither an alternative nor a repeat can leave them out.
func hasClockAlways(body string) bool {
	type group struct{ clock, unsure bool }
	stack := []group{{}}
	for i := 0; i < len(body); i++ {
		top := &stack[len(stack)-1]
		switch body[i] {
		case '\\':
			i++
		case '[':
			if end := strings.IndexByte(body[i+1:], ']'); end > 0 {
				i += end
			} else {
				return false
			}
		case '|':
			top.unsure = true
		case '(':
			rest := body[i+1:]
			named := strings.HasPrefix(rest, "?P<") || strings.HasPrefix(rest, "?:")
			stack = append(stack, group{unsure: strings.HasPrefix(rest, "?") && !named})
		case ')':
			if len(stack) == 1 {
				return false
			}
			stack = stack[:len(stack)-1]
			if top.clock && !top.unsure && (i+1 == len(body) || strings.IndexByte("?*{", body[i+1]) < 0) {
				stack[len(stack)-1].clock = true
			}
		case ':':
			for _, minutes := range []string{"%M", "%ExM"} {
				if rest, ok := strings.CutPrefix(body[i+1:], minutes); ok && (rest == "" || strings.IndexByte("?*{", rest[0]) < 0) {
					top.clock = true
				}
			}
		}
	}
	return len(stack) == 1 && stack[0].clock && !stack[0].unsure
}

// safeBars reports whether all alternatives of a pattern are inside groups.
func safeBars(body string) bool {
	depth := 0
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			depth--
		case '|':
			if depth == 0 {
				return false
			}
		}
	}
	return true
}

// beforeHour returns what stands before the hour of a pattern in which an hour, a colon and minutes
// follow one another once, and every match has them; nil: unknown.
func beforeHour(body string) *[256]bool {
	if strings.Count(body, ":%M")+strings.Count(body, ":%ExM") != 1 {
		return nil
	}
	head, _, _ := strings.Cut(body, ":%M")
	head, _, _ = strings.Cut(head, ":%ExM")
	blank := ""
	for _, hour := range []struct{ token, blank string }{{"%H", ""}, {"%I", ""}, {"%ExH", ""}, {"%k", " "}, {"%l", " "}, {"%Exk", " "}, {"%Exl", " "}} {
		if rest, ok := strings.CutSuffix(head, hour.token); ok && !strings.HasSuffix(rest, "%") {
			head, blank = rest, hour.blank
			break
		}
	}
	for _, joint := range []struct{ text, chars string }{{"(?:T|  ?)", "Tt "}, {"  ?", " "}, {" ", " "}, {":", ":"}, {"@", "@"}} {
		if rest, ok := strings.CutSuffix(head, joint.text); ok && !strings.HasSuffix(rest, `\`) && !strings.HasSuffix(rest, "%") {
			return set(joint.chars + blank)
		}
	}
	return nil
}

// digitsAtStart counts the digits in a row that every match begins with.
func digitsAtStart(body string) (n int) {
	if !safeBars(body) {
		return 0
	}
	for {
		switch {
		case strings.HasPrefix(body, "%ExY"):
			n += 4
		case strings.HasPrefix(body, "%Exy"), strings.HasPrefix(body, "%Exm"), strings.HasPrefix(body, "%Exd"):
			n += 2
		default:
			return n
		}
		if body = body[4:]; body != "" && strings.IndexByte("?*+{", body[0]) >= 0 {
			return 0
		}
	}
}

// clockBy returns where the colon behind the hour stands at most that a pattern behind {^LN-BEG}
// begins with; 0: anywhere.
func clockBy(body string) int {
	for _, hour := range []string{"%H", "%I", "%k", "%l"} {
		if strings.HasPrefix(body, hour+":%M") && safeBars(body) {
			return 2*utf8.UTFMax + tokens[hour[1:]].width
		}
	}
	return 0
}

// separators returns what follows the digits of the day or the month that a pattern behind
// {^LN-BEG} begins with; nil: unknown.
func separators(body string) *[256]bool {
	rest, ok := strings.CutPrefix(body, "%d")
	if !ok {
		rest, ok = strings.CutPrefix(body, "%m")
	}
	if !ok || !safeBars(body) {
		return nil
	}
	for _, sep := range []struct{ text, chars string }{{"(?P<_sep>[-/])", "-/"}, {"/%", "/"}, {"-%", "-"}} {
		if strings.HasPrefix(rest, sep.text) && !strings.HasPrefix(rest, sep.text+"?") {
			return set(sep.chars)
		}
	}
	return nil
}
