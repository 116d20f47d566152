package fail2ban

import (
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

// maxGlobs bounds how many app names a regular expression is unfolded into.
const maxGlobs = 64

// appGlobs turns the regular expression of a daemon's name into app names and globs. It returns
// nil when that cannot be done, or when it would be every name.
func appGlobs(pattern string) []string {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	list, ok := unfoldName(re.Simplify(), true)
	if !ok {
		return nil
	}
	var out []string
	for _, g := range list {
		g = strings.TrimSpace(g)
		for strings.Contains(g, "**") && !strings.Contains(g, "/**") {
			g = strings.ReplaceAll(g, "**", "*")
		}
		if g == "" {
			continue
		}
		if strings.Trim(g, "*/?") == "" {
			return nil
		}
		if !slices.Contains(out, g) {
			out = append(out, g)
		}
	}
	return out
}

// unfoldName lists what an expression can be. last says that nothing follows it in the name.
func unfoldName(re *syntax.Regexp, last bool) ([]string, bool) {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return []string{""}, true
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 {
			return []string{anyCase(re.Rune)}, true
		}
		return []string{escapeName(string(re.Rune))}, true
	case syntax.OpCapture:
		return unfoldName(re.Sub[0], last)
	case syntax.OpCharClass:
		return classNames(re), true
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return []string{"?"}, true
	case syntax.OpStar, syntax.OpPlus:
		if blank(re.Sub[0]) {
			return []string{""}, true
		}
		if last && takesSlash(re.Sub[0]) {
			return []string{"*", "*/**"}, true
		}
		return []string{"*"}, true
	case syntax.OpQuest:
		list, ok := unfoldName(re.Sub[0], last)
		return append([]string{""}, list...), ok && len(list) < maxGlobs
	case syntax.OpAlternate:
		var out []string
		for _, sub := range re.Sub {
			list, ok := unfoldName(sub, last)
			if out = append(out, list...); !ok || len(out) > maxGlobs {
				return nil, false
			}
		}
		return out, true
	case syntax.OpConcat:
		out := []string{""}
		for i, sub := range re.Sub {
			list, ok := unfoldName(sub, last && i == len(re.Sub)-1)
			if !ok || len(out)*len(list) > maxGlobs {
				return nil, false
			}
			var next []string
			for _, head := range out {
				for _, tail := range list {
					next = append(next, head+tail)
				}
			}
			out = next
		}
		return out, true
	}
	return nil, false
}

// classNames lists a small class of characters; a large one is any character.
func classNames(re *syntax.Regexp) []string {
	if blank(re) {
		return []string{""}
	}
	var out []string
	for i := 0; i < len(re.Rune); i += 2 {
		if re.Rune[i+1]-re.Rune[i] > 4 {
			return []string{"?"}
		}
		for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
			out = append(out, escapeName(string(r)))
		}
	}
	if len(out) > 4 {
		return []string{"?"}
	}
	return out
}

// blank reports whether a class holds nothing but blanks, which no app name has.
func blank(re *syntax.Regexp) bool {
	if re.Op != syntax.OpCharClass {
		return re.Op == syntax.OpLiteral && strings.TrimSpace(string(re.Rune)) == ""
	}
	for i := 0; i < len(re.Rune); i += 2 {
		if re.Rune[i+1]-re.Rune[i] > 8 || !unicode.IsSpace(re.Rune[i]) || !unicode.IsSpace(re.Rune[i+1]) {
			return false
		}
	}
	return true
}

func takesSlash(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return true
	case syntax.OpCharClass:
		for i := 0; i < len(re.Rune); i += 2 {
			if re.Rune[i] <= '/' && '/' <= re.Rune[i+1] {
				return true
			}
		}
	}
	return false
}

// anyCase is a glob for a text in either case.
func anyCase(text []rune) string {
	var b strings.Builder
	for _, r := range text {
		upper, lower := unicode.ToUpper(r), unicode.ToLower(r)
		if upper == lower {
			b.WriteString(escapeName(string(r)))
			continue
		}
		b.WriteString("[" + string(upper) + string(lower) + "]")
	}
	return b.String()
}

// widen adds to names those that begin with them.
func widen(names []string) []string {
	var out []string
	for _, n := range names {
		for _, g := range []string{strings.TrimSuffix(n, "*") + "*", strings.TrimSuffix(n, "*") + "*/**"} {
			if !strings.Contains(n, "/**") && !slices.Contains(out, g) {
				out = append(out, g)
			}
		}
	}
	return out
}

func escapeName(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `{`, `\{`).Replace(s)
}

// journalNames returns the names that a journalmatch asks for in a field, in order.
func journalNames(match [][]string, field string) []string {
	var out []string
	for _, line := range match {
		for _, word := range line {
			name, ok := strings.CutPrefix(word, field+"=")
			if ok && name != "" && !strings.ContainsAny(name, " \t\n") && !slices.Contains(out, escapeName(name)) {
				out = append(out, escapeName(name))
			}
		}
	}
	return out
}
