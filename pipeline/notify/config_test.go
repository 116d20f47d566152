package notify

import (
	"strings"
	"testing"
	"time"
)

func TestFaults(t *testing.T) {
	negative := -1
	hook := Config{Name: "a", Type: TypeWebhook, URL: "https://example.net/x"}
	with := func(c Config, change func(*Config)) Config { change(&c); return c }
	mail := Config{Name: "a", Type: TypeMail, Server: "mail.example.net:25", From: "a@example.net", To: []string{"b@example.net"}}
	program := Config{Name: "a", Type: TypeExec, Command: []string{"/usr/bin/true"}}
	for want, c := range map[string]Config{
		"":                                  hook,
		"notify[0].name: name \"A\"":        with(hook, func(c *Config) { c.Name = "A" }),
		"notify[0].type":                    {Name: "a", Type: "pigeon"},
		"notify[0].events[1]":               with(hook, func(c *Config) { c.Events = []string{"ban", "bam"} }),
		"notify[0].url":                     with(hook, func(c *Config) { c.URL = "ftp://example.net" }),
		"notify[0].url: ${token}":           with(hook, func(c *Config) { c.URL += "/${token}" }),
		"notify[0].preset":                  with(hook, func(c *Config) { c.Preset = "icq" }),
		"notify[0].preset: telegram needs":  with(hook, func(c *Config) { c.Preset = "telegram" }),
		"notify[0].headers[0].value":        with(hook, func(c *Config) { c.Headers = []Header{{"X-A", "b\r\nc"}} }),
		"notify[0].headers[0].name":         with(hook, func(c *Config) { c.Headers = []Header{{"X A", "b"}} }),
		"notify[0].template":                with(hook, func(c *Config) { c.Template = `{"a": ${reason}}` }),
		"notify[0].token_file":              with(hook, func(c *Config) { c.TokenFile = "token" }),
		"notify[0].retries":                 with(hook, func(c *Config) { c.Retries = &negative }),
		"notify[0].digest":                  with(hook, func(c *Config) { c.Digest = time.Millisecond }),
		"notify[0].rate":                    with(hook, func(c *Config) { c.Rate = maxRate + 1 }),
		"notify[0].path: path belongs":      with(hook, func(c *Config) { c.Path = "/x" }),
		"notify[0].server":                  with(mail, func(c *Config) { c.Server = "mail" }),
		"notify[0].to":                      with(mail, func(c *Config) { c.To = nil }),
		"notify[0].from":                    with(mail, func(c *Config) { c.From = "a@b\r\nBcc: c@d" }),
		"notify[0].tls: tls: none":          with(mail, func(c *Config) { c.TLS, c.CredentialsFile = "none", "/x" }),
		"notify[0].whois: whois belongs":    with(hook, func(c *Config) { c.Whois.Enabled = true }),
		"notify[0].whois.server":            with(mail, func(c *Config) { c.Whois.Server = "a b" }),
		"notify[0].whois.timeout":           with(mail, func(c *Config) { c.Whois.Timeout = time.Hour }),
		"notify[0].format":                  {Name: "a", Type: TypeFile, Path: "/x"},
		"notify[0].path: \"x\"":             {Name: "a", Type: TypeFile, Path: "x", Format: "list"},
		"notify[0].command[0]: \"true\"":    with(program, func(c *Config) { c.Command = []string{"true"} }),
		"notify[0].command[0]: \"/bin/sh\"": with(program, func(c *Config) { c.Command = []string{"/bin/sh", "-c", "x"} }),
		"notify[0].command[1]":              with(program, func(c *Config) { c.Command = []string{"/bin/true", "${reason}"} }),
		"notify[0].user":                    with(program, func(c *Config) { c.User = "no-such-user" }),
	} {
		var got []string
		Validate([]Config{c}, func(path, message string) { got = append(got, path+": "+message) })
		if all := strings.Join(got, "\n"); want == "" && all != "" || !strings.Contains(all, want) {
			t.Errorf("%s: got %q", want, all)
		}
	}
	var got []string
	ValidateNames([]Config{hook}, []string{"a", "b"}, "jails[3].notify", func(path, _ string) { got = append(got, path) })
	if len(got) != 1 || got[0] != "jails[3].notify[1]" {
		t.Errorf("names: %v", got)
	}
}
