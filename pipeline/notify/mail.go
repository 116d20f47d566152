package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// mailer sends messages by SMTP.
type mailer struct{ cfg *Config }

func (mailer) close() {}

func (s mailer) send(ctx context.Context, m *message) error {
	msg, err := s.compose(m)
	if err != nil {
		return permanent(err)
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	err = c.DialAndSendWithContext(ctx, msg)
	var refused *gomail.SendError
	if errors.As(err, &refused) && !refused.IsTemp() && refused.ErrorCode() >= 500 {
		return permanent(err)
	}
	return err
}

// compose writes the mail. Subject and addresses hold nothing that a line says.
func (s mailer) compose(m *message) (*gomail.Msg, error) {
	msg := gomail.NewMsg()
	if err := msg.From(s.cfg.From); err != nil {
		return nil, err
	}
	if err := msg.To(s.cfg.To...); err != nil {
		return nil, err
	}
	msg.Subject(clean(m.title(), maxValue))
	msg.SetDate()
	msg.SetMessageIDWithValue(m.id + "@" + m.host)
	msg.SetGenHeader(gomail.Header("Auto-Submitted"), "auto-generated")
	msg.SetBodyString(gomail.TypeTextPlain, mailBody(m))
	return msg, nil
}

func mailBody(m *message) string {
	var b strings.Builder
	b.WriteString(m.text() + "\n")
	if m.digest() {
		return b.String()
	}
	e := &m.events[0]
	b.WriteString("\n")
	for _, f := range m.fields() {
		if f.value != "" && f.value != "0" && !f.lines && f.name != "title" && f.name != "count" {
			fmt.Fprintf(&b, "%-10s %s\n", f.name, f.value)
		}
	}
	if len(e.Evidence) > 0 {
		b.WriteString("\nThe lines that led to it:\n")
		for line := range strings.SplitSeq(e.evidence(), "\n") {
			b.WriteString("  " + line + "\n")
		}
	}
	return b.String()
}

func (s mailer) client() (*gomail.Client, error) {
	host, port, err := splitServer(s.cfg.Server)
	if err != nil {
		return nil, permanent(err)
	}
	options := []gomail.Option{gomail.WithPort(port), gomail.WithTimeout(s.timeout())}
	switch s.cfg.TLS {
	case "none":
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	case "tls":
		options = append(options, gomail.WithSSL())
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	options = append(options, gomail.WithTLSConfig(&tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}))
	if s.cfg.CredentialsFile != "" {
		text, err := readSecret(s.cfg.CredentialsFile)
		if err != nil {
			return nil, err
		}
		user, password, ok := strings.Cut(strings.TrimRight(text, "\r\n"), "\n")
		user = strings.TrimRight(user, "\r")
		if !ok || strings.ContainsFunc(user+password, control) {
			return nil, permanent(fmt.Errorf("%s must hold two lines, the user and the password", s.cfg.CredentialsFile))
		}
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(user), gomail.WithPassword(password))
	}
	c, err := gomail.NewClient(host, options...)
	if err != nil {
		return nil, permanent(err)
	}
	return c, nil
}

func (s mailer) timeout() time.Duration {
	if s.cfg.Timeout > 0 {
		return s.cfg.Timeout
	}
	return defaultTimeout
}

// splitServer reads host:port.
func splitServer(text string) (host string, port int, err error) {
	host, digits, err := net.SplitHostPort(text)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 || host == "" {
		return "", 0, fmt.Errorf("%q is not host:port", clip(text))
	}
	return host, int(n), nil
}
