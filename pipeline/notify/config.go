package notify

import (
	"fmt"
	"net/mail"
	"net/url"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// The types of channels.
const (
	TypeWebhook = "webhook"
	TypeMail    = "mail"
	TypeFile    = "file"
	TypeExec    = "exec"
)

// Config is one entry of `notify`: a channel. Zero values mean the default.
type Config struct {
	Name   string   `yaml:"name"`
	Type   string   `yaml:"type"`   // webhook, mail, file, exec
	Events []string `yaml:"events"` // absent: ban, unban, quarantine, degraded, silent, alert

	URL       string   `yaml:"url"`        // ${token} stands for the token
	Preset    string   `yaml:"preset"`     // slack, discord, telegram, ntfy, gotify, matrix
	Chat      string   `yaml:"chat"`       // of telegram: the chat's id
	Template  string   `yaml:"template"`   // of the body; absent: the preset's, or the event as JSON
	Headers   []Header `yaml:"headers"`    // fixed ones
	TokenFile string   `yaml:"token_file"` // read at each message

	Server          string   `yaml:"server"` // host:port
	From            string   `yaml:"from"`
	To              []string `yaml:"to"`
	TLS             string   `yaml:"tls"`              // starttls, tls, none
	CredentialsFile string   `yaml:"credentials_file"` // two lines: user, password; read at each message
	Whois           Whois    `yaml:"whois"`            // of the address that a mail is about; off

	Path   string `yaml:"path"`
	Format string `yaml:"format"` // list, hosts.deny, nginx, mikrotik

	Command     []string `yaml:"command"` // the program's absolute path and its arguments; no shell
	User        string   `yaml:"user"`    // that runs it; absent: nobody, or stockade's own user when that is not root
	Concurrency int      `yaml:"concurrency"`

	Timeout time.Duration `yaml:"timeout"` // of one attempt; 10s
	Rate    int           `yaml:"rate"`    // messages a minute; 20
	Digest  time.Duration `yaml:"digest"`  // how long events over the rate are gathered; 1m
	Retries *int          `yaml:"retries"` // after a failed attempt, with growing pauses; 4
}

// Header is a fixed header of a webhook's request.
type Header struct {
	Name  string `yaml:"name"`
	Value string `yaml:"value"`
}

const (
	defaultRate    = 20
	defaultRetries = 4
	defaultTimeout = 10 * time.Second
	defaultDigest  = time.Minute
	defaultWrite   = time.Second // digest of a file

	maxRate        = 6000
	maxRetries     = 20
	maxTimeout     = 5 * time.Minute
	maxDigest      = 24 * time.Hour
	maxConcurrency = 64
	maxTemplate    = 16 << 10 // bytes
)

// The words of the keys that have a closed set of them.
var (
	Types   = []string{TypeWebhook, TypeMail, TypeFile, TypeExec}
	Presets = []string{"slack", "discord", "telegram", "ntfy", "gotify", "matrix"}
	Formats = []string{"list", "hosts.deny", "nginx", "mikrotik"}
	TLSs    = []string{"starttls", "tls", "none"}
)

// Kinds are the words of a channel's events.
func Kinds() []string {
	words := make([]string, len(kinds))
	for i, k := range kinds {
		words[i] = string(k)
	}
	return words
}

var (
	nameShape   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`) })
	headerShape = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
	// shells take a text as a program after -c, which is what an argument list is there to avoid.
	shells = regexp.MustCompile(`^(ba|da|z|k|c|tc|fi|a|mk)?sh$`)
)

// Validate reports every fault of a merged list of channels, with the path of the key it is at, such
// as "notify[0].url". It opens nothing; of the host it asks only whether a user exists.
func Validate(cfgs []Config, report func(path, message string)) {
	seen := make(map[string]bool)
	for i := range cfgs {
		c := &cfgs[i]
		v := validator{c, fmt.Sprintf("notify[%d]", i), report}
		switch {
		case !nameShape().MatchString(c.Name):
			v.fault("name", "name %q must match [a-z0-9][a-z0-9-]* and have at most 64 bytes", clip(c.Name))
		case seen[c.Name]:
			v.fault("name", "name %q stands in the list twice", clip(c.Name))
		}
		seen[c.Name] = true
		v.all()
	}
}

// ValidateNames reports the names in a jail's `notify` that no channel has.
func ValidateNames(cfgs []Config, names []string, path string, report func(path, message string)) {
	for i, name := range names {
		if !slices.ContainsFunc(cfgs, func(c Config) bool { return c.Name == name }) {
			report(fmt.Sprintf("%s[%d]", path, i), fmt.Sprintf("no channel %q in the list notify", clip(name)))
		}
	}
}

type validator struct {
	*Config
	at     string
	report func(path, message string)
}

func (v validator) fault(key, format string, args ...any) {
	v.report(v.at+"."+key, fmt.Sprintf(format, args...))
}

func (v validator) all() {
	for i, e := range v.Events {
		v.word(fmt.Sprintf("events[%d]", i), e, Kinds())
	}
	v.between("timeout", v.Timeout, time.Second, maxTimeout)
	v.between("digest", v.Digest, time.Second, maxDigest)
	v.count("rate", v.Rate, maxRate)
	v.count("concurrency", v.Concurrency, maxConcurrency)
	if v.Retries != nil && (*v.Retries < 0 || *v.Retries > maxRetries) {
		v.fault("retries", "retries %d must be between 0 and %d", *v.Retries, maxRetries)
	}
	for _, w := range []struct {
		key, value string
		legal      []string
	}{{"preset", v.Preset, Presets}, {"format", v.Format, Formats}, {"tls", v.TLS, TLSs}} {
		if w.value != "" {
			v.word(w.key, w.value, w.legal)
		}
	}
	v.strangers()
	switch v.Type {
	case TypeWebhook:
		v.webhook()
	case TypeMail:
		v.mail()
	case TypeFile:
		if v.Format == "" {
			v.word("format", v.Format, Formats)
		}
		if !filepath.IsAbs(v.Path) {
			v.fault("path", "%q is not an absolute path", clip(v.Path))
		}
	case TypeExec:
		v.exec()
	default:
		v.word("type", v.Type, Types)
	}
}

// strangers reports the keys that belong to another type of channel.
func (v validator) strangers() {
	for _, k := range []struct {
		key, of string
		set     bool
	}{
		{"url", TypeWebhook, v.URL != ""},
		{"preset", TypeWebhook, v.Preset != ""},
		{"chat", TypeWebhook, v.Chat != ""},
		{"template", TypeWebhook, v.Template != ""},
		{"headers", TypeWebhook, v.Headers != nil},
		{"token_file", TypeWebhook, v.TokenFile != ""},
		{"server", TypeMail, v.Server != ""},
		{"from", TypeMail, v.From != ""},
		{"to", TypeMail, v.To != nil},
		{"tls", TypeMail, v.TLS != ""},
		{"credentials_file", TypeMail, v.CredentialsFile != ""},
		{"whois", TypeMail, v.Whois != Whois{}},
		{"path", TypeFile, v.Path != ""},
		{"format", TypeFile, v.Format != ""},
		{"command", TypeExec, v.Command != nil},
		{"user", TypeExec, v.User != ""},
		{"concurrency", TypeExec, v.Concurrency != 0},
	} {
		if k.set && k.of != v.Type && slices.Contains(Types, v.Type) {
			v.fault(k.key, "%s belongs to channels of type %s; this one is of type %s", k.key, k.of, v.Type)
		}
	}
}

func (v validator) word(key, value string, legal []string) {
	if !slices.Contains(legal, value) {
		v.fault(key, "%q is not one of %s", clip(value), strings.Join(legal, ", "))
	}
}

func (v validator) between(key string, d, least, most time.Duration) {
	if d != 0 && (d < least || d > most) {
		v.fault(key, "%s %s must be between %s and %s", key, d, least, most)
	}
}

func (v validator) count(key string, n, most int) {
	if n < 0 || n > most {
		v.fault(key, "%s %d must be between 1 and %d", key, n, most)
	}
}

func (v validator) webhook() {
	if v.Preset == "telegram" && v.Chat == "" {
		v.fault("preset", "telegram needs chat, the id of the chat to write to")
	}
	if v.Preset == "telegram" && v.TokenFile == "" {
		v.fault("preset", "telegram needs token_file, with the token of the bot")
	}
	if u, err := url.Parse(v.target("token")); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		v.fault("url", "not an address such as https://chat.example.net/hooks/1")
	}
	if strings.Contains(v.URL, tokenMark) && v.TokenFile == "" {
		v.fault("url", "%s stands for what token_file holds, which is not set", tokenMark)
	}
	for i, h := range v.Headers {
		at := fmt.Sprintf("headers[%d]", i)
		if !headerShape.MatchString(h.Name) {
			v.fault(at+".name", "%q is not the name of a header", clip(h.Name))
		}
		if strings.ContainsFunc(h.Value, control) {
			v.fault(at+".value", "the value of a header holds no control characters")
		}
	}
	if len(v.Template) > maxTemplate {
		v.fault("template", "a template of %d bytes; at most %d are taken", len(v.Template), maxTemplate)
	} else if _, err := parseTemplate(v.Template); err != nil {
		v.fault("template", "%v", err)
	}
	v.secret("token_file", v.TokenFile)
}

func (v validator) secret(key, path string) {
	if path != "" && !filepath.IsAbs(path) {
		v.fault(key, "%q is not an absolute path", clip(path))
	}
}

func (v validator) mail() {
	if _, _, err := splitServer(v.Server); err != nil {
		v.fault("server", "%q is not host:port, such as mail.example.net:587", clip(v.Server))
	}
	if v.TLS == "none" && v.CredentialsFile != "" {
		v.fault("tls", "tls: none would send the password in clear text")
	}
	v.address("from", v.From)
	if len(v.To) == 0 {
		v.fault("to", "no address to send to")
	}
	for i, to := range v.To {
		v.address(fmt.Sprintf("to[%d]", i), to)
	}
	v.secret("credentials_file", v.CredentialsFile)
	v.between("whois.timeout", v.Whois.Timeout, time.Second, maxLookUp)
	if v.Whois.Server != "" {
		if _, err := whoisAddress(v.Whois.Server); err != nil {
			v.fault("whois.server", "%q is neither a host nor host:port, such as whois.ripe.net", clip(v.Whois.Server))
		}
	}
}

func (v validator) address(key, text string) {
	if _, err := mail.ParseAddress(text); err != nil || strings.ContainsFunc(text, control) {
		v.fault(key, "%q is not a mail address", clip(text))
	}
}

func (v validator) exec() {
	if len(v.Command) == 0 {
		v.fault("command", "no program to run")
		return
	}
	if !filepath.IsAbs(v.Command[0]) || strings.Contains(v.Command[0], "${") {
		v.fault("command[0]", "%q is not the absolute path of a program", clip(v.Command[0]))
	}
	if shells.MatchString(filepath.Base(v.Command[0])) {
		v.fault("command[0]", "%q is a shell: put the script in a file of its own and name that", clip(v.Command[0]))
	}
	for i, arg := range v.Command[1:] {
		if _, err := parseArgument(arg); err != nil {
			v.fault(fmt.Sprintf("command[%d]", i+1), "%v", err)
		}
	}
	if v.User != "" {
		if _, err := user.Lookup(v.User); err != nil {
			v.fault("user", "no user %q on this host", clip(v.User))
		}
	}
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

// clip cuts a string of the configuration to what an error text may show.
func clip(s string) string {
	const most = 256
	return s[:min(len(s), most)]
}
