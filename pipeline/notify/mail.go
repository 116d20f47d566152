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
	// The library heeds ctx while it dials, and leaves a connection open when the greeting, STARTTLS or
	// the login fails.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := s.client(ctx, func(dialing context.Context, network, address string, secure *tls.Config) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(dialing, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { _ = conn.Close() }) // it may be closed already
		if secure == nil {
			return conn, nil
		}
		encrypted := tls.Client(conn, secure)
		return encrypted, encrypted.HandshakeContext(dialing)
	})
	if err != nil {
		return err
	}
	err = c.DialAndSendWithContext(ctx, msg)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
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
	msg.Subject(subject(m))
	msg.SetDate()
	msg.SetMessageIDWithValue(m.id + "@" + m.host)
	msg.SetGenHeader(gomail.Header("Auto-Submitted"), "auto-generated")
	msg.SetBodyString(gomail.TypeTextPlain, mailBody(m))
	return msg, nil
}

func subject(m *message) string { return clean(m.title(), maxValue) }

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

// dialer connects, with TLS from the first byte unless secure is nil.
type dialer func(ctx context.Context, network, address string, secure *tls.Config) (net.Conn, error)

// logins are the ways to log in over TLS, the best first.
var logins = []gomail.SMTPAuthType{
	gomail.SMTPAuthSCRAMSHA256PLUS, gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthSCRAMSHA1PLUS, gomail.SMTPAuthSCRAMSHA1,
	gomail.SMTPAuthCramMD5, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin,
}

// client is set up for one message.
func (s mailer) client(ctx context.Context, dial dialer) (*gomail.Client, error) {
	host, port, err := splitServer(s.cfg.Server)
	if err != nil {
		return nil, permanent(err)
	}
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	policy, secure := gomail.TLSMandatory, (*tls.Config)(nil)
	switch s.cfg.TLS {
	case "none":
		policy = gomail.NoTLS
	case "tls":
		policy, secure = gomail.NoTLS, config // no STARTTLS inside
	}
	options := []gomail.Option{
		gomail.WithPort(port), gomail.WithTimeout(s.timeout(ctx)), gomail.WithTLSPolicy(policy), gomail.WithTLSConfig(config),
		gomail.WithDialContextFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
			return dial(ctx, network, address, secure)
		}),
	}
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
		options = append(options, gomail.WithOpportunisticSMTPAuth(logins...), gomail.WithUsername(user), gomail.WithPassword(password))
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
