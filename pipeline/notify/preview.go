package notify

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Preview returns what a channel would send of a ban, and sends and writes nothing. Secrets are left
// out: of an address there is the host alone, a token stands as ${token}, and the value of a fixed
// header as stars. What is long is cut. The error wraps ErrUnknown for a name that no channel has.
func (n *Notifier) Preview(name string) (string, error) {
	c, err := n.find(name)
	if err != nil {
		return "", err
	}
	text, err := c.sink.preview(c.single(sample(time.Now())))
	if len(text) > maxPreview {
		text = strings.ToValidUTF8(text[:maxPreview], "") + "…\n"
	}
	return text, err
}

const maxPreview = 16 << 10 // bytes: a file may hold many bans

// sample is a ban as it could be, of an address that nobody has (RFC 5737).
func sample(now time.Time) Event {
	return Event{
		Kind: KindBan, Time: now, Jail: "sshd", Prefix: netip.MustParsePrefix("192.0.2.1/32"), Start: now, End: now.Add(time.Hour),
		Source: "this-host", Trust: "kernel", Reason: "5 failures within 10m0s", Failures: 5,
		Evidence: []string{"sshd[4711]: Failed password for root from 192.0.2.1 port 40022 ssh2"},
	}
}

func (w *webhook) preview(m *message) (string, error) {
	token := ""
	if w.cfg.TokenFile != "" {
		token = tokenMark
	}
	r, err := w.request(context.Background(), m, token)
	if err != nil {
		return "", hideURL(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", err
	}
	for _, h := range w.cfg.Headers {
		r.Header.Set(h.Name, "***")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s://%s/…\n", r.Method, r.URL.Scheme, r.URL.Host)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(&b, "%s: %s\n", name, r.Header.Get(name))
	}
	return b.String() + "\n" + string(body) + "\n", nil
}

func (s mailer) preview(m *message) (string, error) {
	return fmt.Sprintf("From: %s\nTo: %s\nSubject: %s\n\n%s", s.cfg.From, strings.Join(s.cfg.To, ", "), subject(m), mailBody(m)), nil
}

func (f file) preview(*message) (string, error) {
	return f.cfg.Path + "\n\n" + string(f.render(f.bans(f.cfg.Name))), nil
}

func (p *program) preview(m *message) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%q\n\n", append([]string{p.cfg.Command[0]}, p.arguments(m)...))
	for _, v := range environment(m) {
		name, value, _ := strings.Cut(v, "=")
		fmt.Fprintf(&b, "%s=%q\n", name, value)
	}
	return b.String(), nil
}
