package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"
)

const (
	// dialTimeout is for a machine so busy that this process hardly runs: a connection to a socket of
	// the file system is made or refused at once, also when the daemon hangs.
	dialTimeout   = 10 * time.Second
	answerTimeout = writeTimeout + 5*time.Second
	// maxAnswer bounds what a client reads: a million bans take some 300 MB.
	maxAnswer = 1 << 30
)

// Client talks to the daemon behind one control socket. Refusals of the daemon are returned as
// *Error, and a daemon that cannot be reached as *UnreachableError.
type Client struct {
	socket string
	http   *http.Client
}

// UnreachableError says that no daemon answers on a socket. Its text is one line.
type UnreachableError struct {
	Socket string
	Err    error
}

// Error names the socket and the cause.
func (e *UnreachableError) Error() string {
	cause := e.Err
	var errno syscall.Errno
	if errors.As(cause, &errno) {
		cause = errno // without the layers that name the socket again
	}
	return fmt.Sprintf("no daemon at %s: %v", e.Socket, cause)
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Dial returns a client of the daemon behind socket, after a connection to it was made. An
// absent daemon is an *UnreachableError within 1 s, a socket that the caller may not open an
// *Error of CodeNotPermitted.
func Dial(ctx context.Context, socket string) (*Client, error) {
	first, err := dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	spare := make(chan net.Conn, 1) // holds the first connection until the first request takes it
	spare <- first
	return &Client{socket: socket, http: &http.Client{
		Timeout: answerTimeout,
		Transport: &http.Transport{
			DisableCompression: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				select {
				case c := <-spare:
					return c, nil
				default:
					return dial(ctx, socket)
				}
			},
		},
	}}, nil
}

func dial(ctx context.Context, socket string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.DialContext(ctx, "unix", socket)
	if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) {
		return nil, &Error{Code: CodeNotPermitted, Message: fmt.Sprintf("not permitted to open %s: root and the control group may", socket)}
	}
	if err != nil {
		return nil, &UnreachableError{Socket: socket, Err: err}
	}
	return c, nil
}

// Close lets go of the connection.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Ping asks whether the daemon answers.
func (c *Client) Ping(ctx context.Context) error {
	_, err := call[Pong](ctx, c, http.MethodGet, "/v1/ping", nil)
	return err
}

// Version asks for the daemon's build.
func (c *Client) Version(ctx context.Context) (Version, error) {
	return call[Version](ctx, c, http.MethodGet, "/v1/version", nil)
}

// Status asks how the daemon is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return call[Status](ctx, c, http.MethodGet, "/v1/status", nil)
}

// JailReport asks for one jail's numbers and bans.
func (c *Client) JailReport(ctx context.Context, jail string) (JailReport, error) {
	return call[JailReport](ctx, c, http.MethodGet, "/v1/status/"+url.PathEscape(jail), nil)
}

// Jails asks for all jails.
func (c *Client) Jails(ctx context.Context) (List[Jail], error) {
	return call[List[Jail]](ctx, c, http.MethodGet, "/v1/jails", nil)
}

// Sources asks for all sources.
func (c *Client) Sources(ctx context.Context) (List[Source], error) {
	return call[List[Source]](ctx, c, http.MethodGet, "/v1/sources", nil)
}

// Bans asks for the active bans of a jail, "" for all.
func (c *Client) Bans(ctx context.Context, jail string) (List[Ban], error) {
	path := "/v1/bans"
	if jail != "" {
		path += "?" + url.Values{"jail": {jail}}.Encode()
	}
	return call[List[Ban]](ctx, c, http.MethodGet, path, nil)
}

// Explain asks what is known of an address.
func (c *Client) Explain(ctx context.Context, t Target) (Explain, error) {
	return call[Explain](ctx, c, http.MethodGet, "/v1/explain?"+url.Values{"address": {t.String()}}.Encode(), nil)
}

// Doctor asks what is broken on the way of a line, for one jail or "" for all.
func (c *Client) Doctor(ctx context.Context, jail string) (Diagnosis, error) {
	path := "/v1/doctor"
	if jail != "" {
		path += "?" + url.Values{"jail": {jail}}.Encode()
	}
	return call[Diagnosis](ctx, c, http.MethodGet, path, nil)
}

// Ban bans by hand.
func (c *Client) Ban(ctx context.Context, r BanRequest) (BanResult, error) {
	return call[BanResult](ctx, c, http.MethodPost, "/v1/ban", r)
}

// Unban lifts bans.
func (c *Client) Unban(ctx context.Context, r UnbanRequest) (UnbanResult, error) {
	return call[UnbanResult](ctx, c, http.MethodPost, "/v1/unban", r)
}

// Approve begins the bans that wait for a source's quota.
func (c *Client) Approve(ctx context.Context, r SourceRequest) (ApproveResult, error) {
	return call[ApproveResult](ctx, c, http.MethodPost, "/v1/approve", r)
}

// Release ends the quarantine of a source.
func (c *Client) Release(ctx context.Context, r SourceRequest) (ReleaseResult, error) {
	return call[ReleaseResult](ctx, c, http.MethodPost, "/v1/release", r)
}

// Reload makes the daemon read its configuration again, or confirms the one in force.
func (c *Client) Reload(ctx context.Context, r ReloadRequest) (ReloadResult, error) {
	return call[ReloadResult](ctx, c, http.MethodPost, "/v1/reload", r)
}

// Shadow asks what a shadow jail would have banned, "" for all of them.
func (c *Client) Shadow(ctx context.Context, jail string) (List[Shadow], error) {
	path := "/v1/shadow"
	if jail != "" {
		path += "?" + url.Values{"jail": {jail}}.Encode()
	}
	return call[List[Shadow]](ctx, c, http.MethodGet, path, nil)
}

// CanaryKey asks for what a source needs to send canaries.
func (c *Client) CanaryKey(ctx context.Context, r CanaryRequest) (CanaryKey, error) {
	return call[CanaryKey](ctx, c, http.MethodPost, "/v1/canary", r)
}

// Canaries asks for the canaries that arrived.
func (c *Client) Canaries(ctx context.Context) (List[Canary], error) {
	return call[List[Canary]](ctx, c, http.MethodGet, "/v1/canary", nil)
}

// Log asks how the daemon logs.
func (c *Client) Log(ctx context.Context) (LogState, error) {
	return call[LogState](ctx, c, http.MethodGet, "/v1/log", nil)
}

// SetLog changes how the daemon logs.
func (c *Client) SetLog(ctx context.Context, r LogRequest) (LogState, error) {
	return call[LogState](ctx, c, http.MethodPost, "/v1/log", r)
}

// NotifyTest sends a test over one channel.
func (c *Client) NotifyTest(ctx context.Context, r NotifyRequest) (NotifyResult, error) {
	return call[NotifyResult](ctx, c, http.MethodPost, "/v1/notify/test", r)
}

// call makes one request. A nil body sends none.
func call[T any](ctx context.Context, c *Client, method, path string, body any) (v T, err error) {
	var in io.Reader
	if body != nil {
		doc, err := Marshal(body, "")
		if err != nil {
			return v, fmt.Errorf("encode the request: %w", err)
		}
		in = bytes.NewReader(doc)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://stockade"+path, in)
	if err != nil {
		return v, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return v, c.explain(err)
	}
	defer func() { _ = res.Body.Close() }()
	r := io.LimitReader(res.Body, maxAnswer)
	if res.StatusCode != http.StatusOK {
		e := &Error{}
		if json.NewDecoder(r).Decode(e) != nil || e.Code == "" {
			e = &Error{Code: CodeInternal, Message: "the daemon answered " + res.Status}
		}
		return v, e
	}
	if err = json.NewDecoder(r).Decode(&v); err != nil {
		return v, c.explain(fmt.Errorf("read the answer: %w", err))
	}
	_, _ = io.Copy(io.Discard, r) // to the end, so that the connection can be used again
	return v, nil
}

// explain turns a transport's error into what the caller can branch on.
func (c *Client) explain(err error) error {
	var known *Error
	var gone *UnreachableError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &gone):
		return gone
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &UnreachableError{Socket: c.socket, Err: err}
}
