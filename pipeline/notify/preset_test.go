package notify

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// The documented fields of what each service takes. A field that is not among them is a mistake.
type (
	// https://docs.slack.dev/reference/methods/chat.postMessage, as incoming webhooks take it
	slackMessage struct {
		Text        *string `json:"text"`
		Mrkdwn      *bool   `json:"mrkdwn"`
		LinkNames   bool    `json:"link_names"`
		UnfurlLinks bool    `json:"unfurl_links"`
		UnfurlMedia bool    `json:"unfurl_media"`
	}
	// https://docs.discord.com/developers/resources/webhook, Execute Webhook
	discordMessage struct {
		Content         *string `json:"content"`
		AllowedMentions *struct {
			Parse *[]string `json:"parse"`
		} `json:"allowed_mentions"`
		Flags int `json:"flags"` // 1 << 2: SUPPRESS_EMBEDS
	}
	// https://core.telegram.org/bots/api, sendMessage
	telegramMessage struct {
		ChatID             *string `json:"chat_id"`
		Text               *string `json:"text"`
		LinkPreviewOptions *struct {
			IsDisabled bool `json:"is_disabled"`
		} `json:"link_preview_options"`
	}
	// https://gotify.net/api-docs, POST /message
	gotifyMessage struct {
		Title    string  `json:"title"`
		Message  *string `json:"message"`
		Priority *int    `json:"priority"`
	}
	// https://spec.matrix.org, PUT …/send/m.room.message/{txnId}: m.room.message of type m.notice
	matrixMessage struct {
		MsgType *string `json:"msgtype"`
		Body    *string `json:"body"`
	}
)

// TestPresets sends a ban and a digest by each preset and decodes the requests as the services
// document them: the method, the path, the login, every field, and the longest text they take.
func TestPresets(t *testing.T) {
	type request struct {
		method, path string
		header       http.Header
		body         []byte
	}
	var got request
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = request{r.Method, r.URL.Path, r.Header, body}
	}))
	defer server.Close()
	token := writeToken(t, "s3cret")
	strict := func(v any) {
		t.Helper()
		d := json.NewDecoder(bytes.NewReader(got.body))
		d.DisallowUnknownFields()
		if err := d.Decode(v); err != nil {
			t.Errorf("%v: %s", err, got.body)
		}
	}
	bearer := func() bool { return got.header.Get("Authorization") == "Bearer s3cret" }

	for _, tt := range []struct {
		preset, path string // path: of the configured address
		wantMethod   string
		wantPath     string
		wantType     string
		longest      int // runes of a text
		text         func() *string
		login        func() bool
	}{
		{"slack", "/services/T0/B0/${token}", "POST", "/services/T0/B0/s3cret", jsonType, 40_000, func() *string {
			var m slackMessage
			strict(&m)
			if m.Mrkdwn == nil || *m.Mrkdwn || m.LinkNames || m.UnfurlLinks || m.UnfurlMedia {
				t.Errorf("slack: %s", got.body)
			}
			return m.Text
		}, func() bool { return got.header.Get("Authorization") == "" }},
		{"discord", "/api/webhooks/1/${token}", "POST", "/api/webhooks/1/s3cret", jsonType, 2000, func() *string {
			var m discordMessage
			strict(&m)
			if m.AllowedMentions == nil || m.AllowedMentions.Parse == nil || len(*m.AllowedMentions.Parse) != 0 || m.Flags != 1<<2 {
				t.Errorf("discord: %s", got.body)
			}
			return m.Content
		}, func() bool { return got.header.Get("Authorization") == "" }},
		{"telegram", "/bot${token}/sendMessage", "POST", "/bots3cret/sendMessage", jsonType, 4096, func() *string {
			var m telegramMessage
			strict(&m)
			if m.ChatID == nil || *m.ChatID != "-100123" || m.LinkPreviewOptions == nil || !m.LinkPreviewOptions.IsDisabled {
				t.Errorf("telegram: %s", got.body)
			}
			return m.Text
		}, func() bool { return got.header.Get("Authorization") == "" }},
		// https://docs.ntfy.sh/publish: the body is the message, longer ones become attachments
		{"ntfy", "/stockade", "POST", "/stockade", plainType, 4096, func() *string {
			if got.header.Get("Title") != "stockade" {
				t.Errorf("ntfy: %v", got.header)
			}
			text := string(got.body)
			return &text
		}, bearer},
		{"gotify", "/message", "POST", "/message", jsonType, 1 << 20, func() *string {
			var m gotifyMessage
			strict(&m)
			if m.Priority == nil || *m.Priority < 0 || *m.Priority > 10 || !strings.HasPrefix(m.Title, "stockade on gw: ") {
				t.Errorf("gotify: %s", got.body)
			}
			return m.Message
		}, func() bool { return got.header.Get("X-Gotify-Key") == "s3cret" }},
		{"matrix", "/_matrix/client/v3/rooms/!r:example.net/send/m.room.message", "PUT",
			"/_matrix/client/v3/rooms/!r:example.net/send/m.room.message/stockade-1-1", jsonType, 60_000, func() *string {
				var m matrixMessage
				strict(&m)
				if m.MsgType == nil || *m.MsgType != "m.notice" {
					t.Errorf("matrix: %s", got.body)
				}
				return m.Body
			}, bearer},
	} {
		cfg := Config{Name: "x", Type: TypeWebhook, Preset: tt.preset, Chat: "-100123", URL: server.URL + tt.path, TokenFile: token}
		if tt.preset != "telegram" {
			cfg.Chat = ""
		}
		var faults []string
		Validate([]Config{cfg}, func(path, message string) { faults = append(faults, path+": "+message) })
		if len(faults) > 0 {
			t.Errorf("%s: %v", tt.preset, faults)
		}
		w, err := newWebhook(&cfg)
		if err != nil {
			t.Fatal(err)
		}
		digest := &message{id: "stockade-1-1", host: "gw", counts: map[Kind]int{KindBan: maxKept}, total: maxKept}
		for i := range maxKept {
			digest.events = append(digest.events, ban(i))
		}
		for _, m := range []*message{single(8), digest} {
			if err := w.send(t.Context(), m); err != nil {
				t.Fatalf("%s: %v", tt.preset, err)
			}
			if got.method != tt.wantMethod || got.path != tt.wantPath || got.header.Get("Content-Type") != tt.wantType {
				t.Errorf("%s: %s %s %v", tt.preset, got.method, got.path, got.header)
			}
			if !tt.login() {
				t.Errorf("%s: the token is not where it belongs: %v", tt.preset, got.header)
			}
			text := tt.text()
			if text == nil || !strings.Contains(strings.ReplaceAll(*text, "\\", ""), "gw: ") || utf8.RuneCountInString(*text) > tt.longest {
				t.Errorf("%s: text %v", tt.preset, text)
			}
		}
		w.close()
	}
}

// writeToken writes a file with a token and returns its path.
func writeToken(t *testing.T, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
