package notify

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestTemplatesThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"${nonsense}":             "unknown value",
		`{"a": ${reason}}`:        "inside quotes",
		`{"a": "\${reason}"}`:     "backslash",
		`{"a": `:                  "is none",
		`{"a": 1${count}}`:        "right behind",
		`{"${reason}": "${text}"`: "is none",
	} {
		if _, err := parseTemplate(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"${reason}", "x${evidence}", "${cause}", "${text}", "a\x00"} {
		if _, err := parseArgument(text); err == nil {
			t.Errorf("argument %q is taken", text)
		}
	}
}

// FuzzTemplate holds a template that is taken to its promise: whatever the values are, JSON stays JSON
// of the same shape, and no text gets a control character from a value.
func FuzzTemplate(f *testing.F) {
	for _, h := range hostile {
		f.Add(`{"a":"x ${reason} y","n":${failures},"l":["${cause}",{"b":"${evidence}"}]}`, h)
		f.Add(`["${text}", ${count}]`, h)
		f.Add("${reason}\n${title} ${address}", h)
	}
	f.Add(`{"a":"\\${reason}"}`, `"`)
	f.Fuzz(func(t *testing.T, text, value string) {
		tmpl, err := parseTemplate(text)
		if err != nil || len(text) > maxTemplate {
			return
		}
		e := ban(0)
		e.Reason, e.Cause, e.Name, e.Evidence, e.Jail, e.Source = value, value, value, []string{value}, value, value
		m := &message{host: "gw", events: []Event{e}, counts: map[Kind]int{KindBan: 1}, total: 1}
		out := tmpl.fill(m)
		if !tmpl.json {
			for _, p := range tmpl.parts {
				out = strings.Replace(out, p.literal, "", 1)
			}
			if strings.ContainsAny(out, "\r\x00\x1b") && !strings.ContainsAny(text, "\r\x00\x1b") {
				t.Fatalf("%q", out)
			}
			return
		}
		var got, plain any
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if err := json.Unmarshal([]byte(tmpl.expand(func(name string) string {
			if fieldNames[name].number {
				return "0"
			}
			return "x"
		})), &plain); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, "${") && keyed(text) {
			return // values are names of keys there: two may become one
		}
		if shape(got) != shape(plain) {
			t.Fatalf("%s: shape %s, want %s", out, shape(got), shape(plain))
		}
	})
}

// keyed reports whether a placeholder may stand in a key.
func keyed(text string) bool {
	_, rest, _ := strings.Cut(text, "${")
	for rest != "" {
		_, after, found := strings.Cut(rest, "}")
		if !found {
			return false
		}
		if _, tail, quoted := strings.Cut(after, `"`); quoted && strings.HasPrefix(strings.TrimLeft(tail, " \t\r\n"), ":") {
			return true
		}
		_, rest, _ = strings.Cut(rest, "${")
	}
	return false
}

// shape is a document without its texts and numbers.
func shape(v any) string {
	switch v := v.(type) {
	case map[string]any:
		parts := make([]string, 0, len(v))
		for range v {
			parts = append(parts, "k")
		}
		inner := 0
		for _, x := range v {
			inner += len(shape(x))
		}
		return "{" + strings.Join(parts, ",") + strings.Repeat(".", inner) + "}"
	case []any:
		var b strings.Builder
		for _, x := range v {
			b.WriteString(shape(x))
		}
		return "[" + b.String() + "]"
	case string:
		return "s"
	case float64:
		return "n"
	}
	return "?"
}
