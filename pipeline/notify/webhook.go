package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	tokenMark    = "${token}"
	telegramURL  = "https://api.telegram.org/bot" + tokenMark + "/sendMessage"
	maxSecret    = 4096     // bytes of a file with a token or a password
	maxAnswer    = 64 << 10 // bytes of an answer that are read before a connection is used again
	longestAfter = time.Minute
)

// webhook sends messages by HTTP.
type webhook struct {
	cfg    *Config
	body   *template // nil: the preset's, or JSON
	client *http.Client
}

func newWebhook(c *Config) (*webhook, error) {
	w := &webhook{cfg: c}
	if c.Template != "" {
		t, err := parseTemplate(c.Template)
		if err != nil {
			return nil, err
		}
		w.body = t
	}
	w.client = &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute,
			ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxAnswer,
		},
		// A redirect would carry the token and the event to where nobody sent them.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return w, nil
}

// target is the address with the token in it.
func (c *Config) target(token string) string {
	u := c.URL
	if u == "" && c.Preset == "telegram" {
		u = telegramURL
	}
	return strings.ReplaceAll(u, tokenMark, url.PathEscape(token))
}

func (w *webhook) close() { w.client.CloseIdleConnections() }

func (w *webhook) send(ctx context.Context, m *message) error {
	token := ""
	if w.cfg.TokenFile != "" {
		text, err := readSecret(w.cfg.TokenFile)
		if err != nil {
			return err
		}
		token = strings.TrimSpace(text)
		if strings.ContainsFunc(token, control) {
			return permanent(fmt.Errorf("%s holds more than a token", w.cfg.TokenFile))
		}
	}
	r, err := w.request(ctx, m, token)
	if err != nil {
		return permanent(hideURL(err))
	}
	res, err := w.client.Do(r)
	if err != nil {
		return hideURL(err)
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswer) // the status says it all
	switch {
	case res.StatusCode/100 == 2:
		return nil
	case res.StatusCode == http.StatusTooManyRequests, res.StatusCode/100 == 5, res.StatusCode == http.StatusRequestTimeout:
		return &refusedError{fmt.Errorf("the server answers %d", res.StatusCode), false, retryAfter(res.Header.Get("Retry-After"))}
	}
	return permanent(fmt.Errorf("the server answers %d", res.StatusCode))
}

func (w *webhook) request(ctx context.Context, m *message, token string) (*http.Request, error) {
	p := presetOf(w.cfg, m)
	if w.body != nil {
		p.body, p.kind = []byte(w.body.fill(m)), plainType
		if w.body.json {
			p.kind = jsonType
		}
	}
	r, err := http.NewRequestWithContext(ctx, p.method, w.cfg.target(token)+p.path, bytes.NewReader(p.body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", p.kind)
	r.Header.Set("User-Agent", "stockade")
	if p.header != "" {
		r.Header.Set(p.header, p.value)
	}
	switch {
	case token == "" || strings.Contains(w.cfg.URL, tokenMark) || w.cfg.Preset == "telegram":
	case w.cfg.Preset == "gotify":
		r.Header.Set("X-Gotify-Key", token)
	default:
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, h := range w.cfg.Headers {
		r.Header.Set(h.Name, h.Value)
	}
	return r, nil
}

// hideURL takes the address out of an error: it may hold a secret.
func hideURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// retryAfter reads the seconds that a server asks for.
func retryAfter(text string) time.Duration {
	d, err := time.ParseDuration(text + "s")
	if err != nil || d < 0 {
		return 0
	}
	return min(d, longestAfter)
}

// readSecret reads a small file.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", permanent(err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch {
	case err != nil:
		return "", err
	case len(text) > maxSecret:
		return "", permanent(fmt.Errorf("%s is larger than %d bytes", path, maxSecret))
	}
	return string(text), nil
}

// refusedError is an answer that says when, or whether, to try again.
type refusedError struct {
	error
	final bool
	after time.Duration
}

func (e *refusedError) Unwrap() error { return e.error }

// permanent marks an error that another attempt would meet again.
func permanent(err error) error { return &refusedError{err, true, 0} }
