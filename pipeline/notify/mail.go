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
	// The library leaves a connection open when the greeting, STARTTLS or the login fails.
	var opened []net.Conn
	c, err := s.client(ctx, func(dialing context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(dialing, network, address)
		if err == nil {
			opened = append(opened, conn)
		}
		return conn, err
	})
	if err != nil {
		return err
	}
	err = c.DialAndSendWithContext(ctx, msg)
	for _, conn := range opened {
		_ = conn.Close() // it may be closed already
	}
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
	if m.registry != "" {
		b.WriteString("\n" + m.registry)
	}
	return b.String()
}

// client is set up for one message. TLS from the first byte is dialled by the library itself.
func (s mailer) client(ctx context.Context, dial gomail.DialContextFunc) (*gomail.Client, error) {
	host, port, err := splitServer(s.cfg.Server)
	if err != nil {
		return nil, permanent(err)
	}
	options := []gomail.Option{gomail.WithPort(port), gomail.WithTimeout(s.timeout(ctx))}
	switch s.cfg.TLS {
	case "none":
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS), gomail.WithDialContextFunc(dial))
	case "tls":
		options = append(options, gomail.WithSSL())
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory), gomail.WithDialContextFunc(dial))
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

// timeout is what is left of the attempt's time.
func (s mailer) timeout(ctx context.Context) time.Duration {
	limit := defaultTimeout
	if s.cfg.Timeout > 0 {
		limit = s.cfg.Timeout
	}
	if end, ok := ctx.Deadline(); ok {
		limit = max(min(limit, time.Until(end)), time.Millisecond)
	}
	return limit
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
