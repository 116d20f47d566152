package filter

import (
	"fmt"
	"strings"
)

// The pieces that fail2ban's tags stand for.
const (
	reIP4  = `(?:::f{4,6}:)?(?P<ip4>(?:\d{1,3}\.){3}\d{1,3})`
	reIP6  = `(?P<ip6>(?:[0-9a-fA-F]{1,4}::?|:){1,7}(?:[0-9a-fA-F]{1,4}|:))`
	reAddr = `\[?(?:` + reIP4 + `|` + reIP6 + `)\]?`
	reDNS  = `(?P<dns>[\w\-.^_]*\w)`
	reCIDR = `(?P<cidr>\d+)`
	reNet  = `\[?(?:` + reIP4 + `|` + reIP6 + `)(?:/` + reCIDR + `)?\]?`
)

// expansion is a pattern with its tags replaced, and the way back from it to the source.
type expansion struct {
	text  string
	marks []mark
}

// mark says that from position out of the expanded text on, the source goes on at position in.
// Within a replaced tag all positions mean the tag's beginning.
type mark struct {
	out, in int
	tag     bool
}

// source returns the position in the source of a position in the expanded text.
func (e expansion) source(out int) int {
	in := 0
	for _, m := range e.marks {
		if m.out > out {
			break
		}
		in = m.in
		if !m.tag {
			in += out - m.out
		}
	}
	return in
}

// expandTags replaces fail2ban's tags in a pattern. With names, <HOST> also matches host names.
// What is no tag stays as it is, so that (?P<name>...) survives.
func expandTags(pattern string, names bool) expansion {
	var (
		b     strings.Builder
		e     expansion
		skips int
		open  = map[string]int{}
	)
	e.marks = append(e.marks, mark{})
	for i := 0; i < len(pattern); {
		if pattern[i] != '<' {
			b.WriteByte(pattern[i])
			i++
			continue
		}
		end := strings.IndexByte(pattern[i:], '>')
		if end < 0 {
			b.WriteString(pattern[i:])
			break
		}
		tag := pattern[i+1 : i+end]
		text, ok := expandTag(tag, names, &skips, open)
		if !ok {
			b.WriteByte('<')
			i++
			continue
		}
		e.marks = append(e.marks, mark{b.Len(), i, true})
		b.WriteString(text)
		i += end + 1
		e.marks = append(e.marks, mark{b.Len(), i, false})
	}
	e.text = b.String()
	return e
}

func expandTag(tag string, names bool, skips *int, open map[string]int) (string, bool) {
	switch tag {
	case "HOST", "F-HOST/":
		if names {
			return `(?:` + reAddr + `|` + reDNS + `)`, true
		}
		return reAddr, true
	case "ADDR", "F-ADDR/":
		return reAddr, true
	case "IP4", "F-IP4/":
		return reIP4, true
	case "IP6", "F-IP6/":
		return reIP6, true
	case "DNS", "F-DNS/":
		return reDNS, true
	case "CIDR", "F-CIDR/":
		return reCIDR, true
	case "SUBNET", "F-SUBNET/":
		return reNet, true
	case "F-ID/":
		return `(?P<fid>\S+)`, true
	case "F-PORT/":
		return `(?P<fport>\w+)`, true
	case "SKIPLINES":
		*skips++
		return fmt.Sprintf(`\n(?P<skiplines%d>(?:(?:.*\n)*?))`, *skips-1), true
	}
	if name, ok := strings.CutPrefix(tag, "/F-"); ok {
		if open[name] == 0 {
			return "", false
		}
		open[name]--
		return ")", true
	}
	name, ok := strings.CutPrefix(tag, "F-")
	if !ok || !isTagName(name) {
		return "", false
	}
	open[name]++
	return "(?P<" + groupName(name) + ">", true
}

func isTagName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return name != ""
}

// groupName returns the name of the group that <F-NAME> opens.
func groupName(name string) string {
	switch name {
	case "ID":
		return "fid"
	case "PORT":
		return "fport"
	}
	return strings.ReplaceAll(strings.ToLower(name), "-", "_")
}
