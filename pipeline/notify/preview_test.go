package notify

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPreview tells what each way out would send. Nothing is sent, written or run, and no secret is told.
func TestPreview(t *testing.T) {
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	const dead = "http://127.0.0.1:9/s3cret"
	cfgs := []Config{
		{Name: "plain", Type: TypeWebhook, URL: dead, Template: `{"host": "${host}", "jail": "${jail}"}`, Headers: []Header{{"X-Key", "s3cret"}}},
		{Name: "mail", Type: TypeMail, Server: "127.0.0.1:9", From: "a@example.net", To: []string{"b@example.net", "c@example.net"}, CredentialsFile: token},
		{Name: "list", Type: TypeFile, Path: filepath.Join(dir, "list"), Format: "nginx"},
		{Name: "hook", Type: TypeExec, Command: []string{"/usr/bin/touch", filepath.Join(dir, "ran"), "${address}"}},
	}
	wants := map[string]string{
		"plain":    "POST http://127.0.0.1:9/…\nContent-Type: application/json\nUser-Agent: stockade\nX-Key: ***\n\n{\"host\": \"gw\", \"jail\": \"sshd\"}\n",
		"mail":     "To: b@example.net, c@example.net\nSubject: stockade on gw: ban 192.0.2.1 (sshd)\n\ngw: banned 192.0.2.1 in jail sshd, for 1h0m0s",
		"list":     "192.0.2.7 1;\n",
		"hook":     "STOCKADE_EVENT_ADDRESS=\"192.0.2.1\"\n",
		"telegram": "POST https://api.telegram.org/…\n",
		"gotify":   "X-Gotify-Key: ${token}\n",
		"slack":    "Authorization: Bearer ${token}\n",
	}
	for _, p := range Presets {
		cfg := Config{Name: p, Type: TypeWebhook, Preset: p, URL: dead, Chat: "1", TokenFile: token}
		if p == "telegram" {
			cfg.URL = ""
		}
		cfgs = append(cfgs, cfg)
	}
	o := *testOptions()
	o.Host = "gw"
	o.Bans = func(string) []Ban { return []Ban{{Prefix: netip.MustParsePrefix("192.0.2.7/32")}} }
	n, err := New(cfgs, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, cfg := range cfgs {
		got, err := n.Preview(cfg.Name)
		if err != nil || !strings.Contains(got, wants[cfg.Name]) || strings.Contains(got, "s3cret") {
			t.Errorf("%s: %v\n%s", cfg.Name, err, got)
		}
	}
	if _, err := n.Preview("nobody"); !errors.Is(err, ErrUnknown) {
		t.Errorf("an unknown channel: %v", err)
	}
	many := make([]Ban, 0, 5000)
	for i := range cap(many) {
		many = append(many, Ban{Prefix: ban(i).Prefix})
	}
	n.channels[2].sink = file{&cfgs[2], func(string) []Ban { return many }}
	if got, err := n.Preview("list"); err != nil || len(got) > maxPreview+len("…\n") || !strings.HasSuffix(got, "…\n") {
		t.Errorf("a long one: %d bytes, %v", len(got), err)
	}
	for _, path := range []string{"list", "ran"} {
		if _, err := os.Stat(filepath.Join(dir, path)); err == nil {
			t.Errorf("%s is there", path)
		}
	}
}
