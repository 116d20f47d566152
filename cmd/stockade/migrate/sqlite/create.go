package sqlite

import (
	"errors"
	"strings"
)

// columnNames reads the names of the columns from the text of a CREATE TABLE, in lower case.
func columnNames(sql string) ([]string, error) {
	open := strings.IndexByte(sql, '(')
	end := strings.LastIndexByte(sql, ')')
	if open < 0 || end < open {
		return nil, errors.New("no list of columns")
	}
	if head := strings.ToUpper(sql[:open]); !strings.HasPrefix(strings.TrimSpace(head), "CREATE TABLE") ||
		strings.Contains(strings.ToUpper(sql[end:]), "WITHOUT") {
		return nil, errors.New("not a table with rowids")
	}
	var names []string
	for _, part := range splitColumns(sql[open+1 : end]) {
		word := firstWord(part)
		switch strings.ToUpper(word) {
		case "PRIMARY", "FOREIGN", "UNIQUE", "CHECK", "CONSTRAINT", "":
		default:
			names = append(names, strings.ToLower(strings.Trim(word, "\"'`[]")))
		}
	}
	return names, nil
}

// splitColumns splits at commas that are in no brackets and no quotes.
func splitColumns(list string) []string {
	var out []string
	depth, begin := 0, 0
	var quote byte
	for i := range len(list) {
		switch c := list[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'' || c == '`':
			quote = c
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			out = append(out, list[begin:i])
			begin = i + 1
		}
	}
	return append(out, list[begin:])
}

func firstWord(part string) string {
	words := strings.FieldsFunc(part, func(r rune) bool { return strings.ContainsRune(" \t\r\n(", r) })
	if len(words) == 0 {
		return ""
	}
	return words[0]
}
