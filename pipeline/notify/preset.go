package notify

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
	"unicode"
)

const (
	jsonType  = "application/json"
	plainType = "text/plain; charset=utf-8"
	maxChat   = 900 // runes of a text in a chat: escaped it stays below the smallest limit, 2,000
)

// preset is a request as a service wants it. Header and value are fixed texts.
type preset struct {
	method, path, kind string
	header, value      string
	body               []byte
}

// presetOf makes the request of a message for the service of a channel; without one the event itself.
func presetOf(c *Config, m *message) preset {
	p := preset{method: http.MethodPost, kind: jsonType}
	text := short(m.text())
	switch c.Preset {
	case "slack":
		p.body = encode(map[string]any{"text": slackText.Replace(text), "mrkdwn": false, "link_names": false, "unfurl_links": false, "unfurl_media": false})
	case "discord":
		p.body = encode(map[string]any{
			"content":          markdown(text),
			"allowed_mentions": map[string]any{"parse": []string{}},
			"flags":            4, // no previews of links
		})
	case "telegram":
		// Without parse_mode the text is no markup.
		p.body = encode(map[string]any{"chat_id": c.Chat, "text": text, "link_preview_options": map[string]any{"is_disabled": true}})
	case "ntfy":
		p.kind, p.body = plainType, []byte(text)
		p.header, p.value = "Title", "stockade"
	case "gotify":
		p.body = encode(map[string]any{"title": m.title(), "message": text, "priority": 5})
	case "matrix":
		// The transaction's id makes a second attempt the same message.
		p.method, p.path = http.MethodPut, "/"+m.id
		p.body = encode(map[string]any{"msgtype": "m.notice", "body": text})
	default:
		p.body = encode(document(m))
	}
	return p
}

// slackText escapes the three characters that Slack's markup, mentions too, is made of.
var slackText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// plainSigns are those that mean nothing in Markdown.
const plainSigns = ".:,/"

// markdown escapes every other ASCII sign.
func markdown(s string) string {
	var b strings.Builder
	for _, r := range s {
		sign := r > ' ' && r < 0x7f && !unicode.IsLetter(r) && !unicode.IsDigit(r)
		if sign && !strings.ContainsRune(plainSigns, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// short cuts a text to what a chat takes.
func short(s string) string {
	n := 0
	for i := range s {
		if n++; n > maxChat {
			return s[:i] + "…"
		}
	}
	return s
}

// encode writes a document of ours as JSON. It holds strings, numbers and lists alone.
func encode(v any) []byte {
	doc, err := json.Marshal(v)
	if err != nil {
		panic("notify: " + err.Error())
	}
	return doc
}

// documentOf is a message without a preset or a template.
type documentOf struct {
	Event  string         `json:"event"` // a kind, or "digest"
	Host   string         `json:"host"`
	Text   string         `json:"text"`
	Count  int            `json:"count"` // events; the oldest are listed
	Counts map[Kind]int   `json:"counts"`
	Events []documentItem `json:"events"`
}

// documentItem is an event in a documentOf.
type documentItem struct {
	Event    Kind       `json:"event"`
	Time     time.Time  `json:"time"`
	Jail     string     `json:"jail,omitempty"`
	Address  string     `json:"address,omitempty"` // a prefix
	Start    *time.Time `json:"start,omitempty"`
	End      *time.Time `json:"end,omitempty"` // absent when permanent
	Source   string     `json:"source,omitempty"`
	Trust    string     `json:"trust,omitempty"`
	Reason   string     `json:"reason,omitempty"`
	Failures int        `json:"failures,omitempty"`
	Enforced *bool      `json:"enforced,omitempty"`
	Evidence []string   `json:"evidence,omitempty"`
	Name     string     `json:"name,omitempty"`
	Cause    string     `json:"cause,omitempty"`
	Over     bool       `json:"over,omitempty"`
}

func document(m *message) documentOf {
	d := documentOf{Event: string(m.events[0].Kind), Host: m.host, Text: m.text(), Count: m.total, Counts: m.counts}
	if m.digest() {
		d.Event = "digest"
	}
	for i := range m.events {
		e := &m.events[i]
		item := documentItem{
			Event: e.Kind, Time: e.Time, Jail: clean(e.Jail, maxValue), Source: clean(e.Source, maxValue), Trust: clean(e.Trust, maxValue),
			Reason: clean(e.Reason, maxValue), Failures: e.Failures, Name: clean(e.Name, maxValue), Cause: clean(e.Cause, maxLine), Over: e.Over,
		}
		if e.Prefix.IsValid() {
			item.Address = e.Prefix.String()
		}
		if e.Kind == KindBan || e.Kind == KindUnban {
			item.Start = &e.Start
			if !e.End.IsZero() {
				item.End = &e.End
			}
			enforced := !e.Recorded
			item.Enforced = &enforced
		}
		if !m.digest() && e.Evidence != nil {
			item.Evidence = strings.Split(e.evidence(), "\n")
		}
		d.Events = append(d.Events, item)
	}
	return d
}
