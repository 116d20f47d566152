package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
)

// handler answers requests.
type handler struct {
	s     Services
	roles roles // of callers over the socket
	auth  *auth // of callers over TCP; nil on the socket
	log   *slog.Logger
}

func newHandler(s Services, r roles, a *auth, log *slog.Logger) http.Handler {
	h := &handler{s: s, roles: r, auth: a, log: log}
	return h.guarded(h.mux())
}

// muxer takes routes, as http.ServeMux does.
type muxer interface {
	Handle(pattern string, h http.Handler)
}

func (h *handler) mux() http.Handler {
	mux := http.NewServeMux()
	h.routes(mux)
	return mux
}

func (h *handler) routes(mux muxer) {
	s, log := h.s, h.log
	get(h, mux, "/v1/ping", func(context.Context, url.Values) (Pong, error) { return Pong{Pong: true}, nil })
	get(h, mux, "/v1/version", func(context.Context, url.Values) (Version, error) { return BuildVersion(), nil })
	get(h, mux, "/v1/status", h.status)
	mux.Handle("GET /v1/status/{jail}", h.allow(roleRead, func(w http.ResponseWriter, r *http.Request) {
		report, err := s.JailReport.JailReport(r.Context(), r.PathValue("jail"))
		h.answer(w, report, err)
	}))
	get(h, mux, "/v1/explain", h.explain, "address")
	get(h, mux, "/v1/doctor", h.doctor, "jail")
	list(h, mux, "/v1/jails", func(ctx context.Context, _ url.Values) ([]Jail, error) { return s.Jails.Jails(ctx) })
	list(h, mux, "/v1/sources", func(ctx context.Context, _ url.Values) ([]Source, error) { return s.Sources.Sources(ctx) })
	list(h, mux, "/v1/bans", func(ctx context.Context, q url.Values) ([]Ban, error) {
		return s.Bans.Bans(ctx, q.Get("jail"))
	}, "jail")
	post(h, mux, "/v1/ban", h.ban)
	post(h, mux, "/v1/unban", h.unban)
	post(h, mux, "/v1/adopt", h.adopt)
	post(h, mux, "/v1/approve", h.approve)
	post(h, mux, "/v1/release", h.release)
	post(h, mux, "/v1/reload", h.reload)
	list(h, mux, "/v1/shadow", func(ctx context.Context, q url.Values) ([]Shadow, error) {
		return s.Shadow.Shadow(ctx, q.Get("jail"))
	}, "jail")
	list(h, mux, "/v1/canary", func(ctx context.Context, _ url.Values) ([]Canary, error) { return s.Canaries.Canaries(ctx) })
	post(h, mux, "/v1/canary", h.canary)
	get(h, mux, "/v1/log", func(ctx context.Context, _ url.Values) (LogState, error) { return s.Log.Log(ctx) })
	post(h, mux, "/v1/log", h.setLog)
	post(h, mux, "/v1/notify/test", h.notifyTest)
	mux.Handle("GET /metrics", h.allow(roleRead, metricsHandler(s, log).ServeHTTP))
	mux.Handle("/", h.allow(roleRead, func(w http.ResponseWriter, r *http.Request) {
		h.refuse(w, &Error{Code: CodeUsage, http: http.StatusNotFound, Message: fmt.Sprintf("no such request: %s %q", r.Method, r.URL.Path)})
	}))
}

// guarded keeps web pages of other origins away.
func (h *handler) guarded(mux http.Handler) http.Handler {
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h.refuse(w, &Error{Code: CodeNotPermitted, Message: "cross-origin requests are refused"})
	}))
	if h.auth != nil {
		return h.auth.gate(h, guard.Handler(mux))
	}
	return guard.Handler(mux)
}

// who says whose request it is, for people, and what he may do.
func (h *handler) who(r *http.Request) (name string, have role) {
	if h.auth != nil {
		c, ok := r.Context().Value(peerKey{}).(*tcpConn)
		if !ok {
			return "unknown", roleNone
		}
		have = h.auth.of(r)
		if have != roleNone && !c.l.greet(c) {
			have = roleNone
		}
		return c.remote.String(), have
	}
	who, ok := r.Context().Value(callerKey{}).(caller)
	if !ok {
		return "unknown", roleNone
	}
	return fmt.Sprintf("uid %d", who.uid), h.roles.of(who)
}

// refusal is what a caller gets whose role is too small.
func (h *handler) refusal(name string, have role) *Error {
	e := &Error{Code: CodeNotPermitted}
	switch {
	case h.auth != nil && have == roleNone:
		e.http = http.StatusUnauthorized
		e.Message = fmt.Sprintf("%s showed no certificate of client_ca and no token", name)
	case h.auth != nil:
		e.Message = fmt.Sprintf("%s may look but not change anything: a certificate is for looking, the token for changes", name)
	case have == roleNone:
		e.Message = name + " may not use the control socket: root and the control group may"
	default:
		e.Message = name + " may look but not change anything: root and the control group may"
	}
	return e
}

// allow lets callers of the role through, with a context that ends in time.
func (h *handler) allow(need role, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, have := h.who(r)
		if have < need {
			if have == roleNone && h.auth != nil {
				w.Header().Set("WWW-Authenticate", "Bearer")
			}
			h.refuse(w, h.refusal(name, have))
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), serviceLimit)
		defer cancel()
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next(w, r.WithContext(ctx))
	})
}

// get serves one object. Query parameters other than the named ones are refused.
func get[T any](h *handler, mux muxer, path string, f func(context.Context, url.Values) (T, error), params ...string) {
	mux.Handle("GET "+path, h.allow(roleRead, func(w http.ResponseWriter, r *http.Request) {
		q, err := query(r, params)
		var v T
		if err == nil {
			v, err = f(r.Context(), q)
		}
		h.answer(w, v, err)
	}))
}

// list serves a list, written item by item so that a long one is not held twice.
func list[T any](h *handler, mux muxer, path string, f func(context.Context, url.Values) ([]T, error), params ...string) {
	mux.Handle("GET "+path, h.allow(roleRead, func(w http.ResponseWriter, r *http.Request) {
		q, err := query(r, params)
		var items []T
		if err == nil {
			items, err = f(r.Context(), q)
		}
		if err != nil {
			h.answer(w, nil, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := writeList(w, items); err != nil {
			h.log.Debug("control answer not delivered", "err", err)
		}
	}))
}

func writeList[T any](w io.Writer, items []T) error {
	out := bufio.NewWriterSize(w, 32<<10)
	sep := "[\n"
	for i := range items {
		doc, err := Marshal(&items[i], "")
		if err != nil {
			return err
		}
		_, _ = out.WriteString(sep) // bufio keeps the first error for Flush
		if _, err = out.Write(doc); err != nil {
			return err
		}
		sep = ",\n"
	}
	if len(items) == 0 {
		_, _ = out.WriteString("[]\n")
	} else {
		_, _ = out.WriteString("\n]\n")
	}
	return out.Flush()
}

// post serves one change.
func post[Req, Res any](h *handler, mux muxer, path string, f func(context.Context, Req) (Res, error)) {
	mux.Handle("POST "+path, h.allow(roleChange, func(w http.ResponseWriter, r *http.Request) {
		req, err := decodeRequest[Req](w, r)
		if err != nil {
			h.answer(w, nil, err)
			return
		}
		res, err := f(r.Context(), req)
		name, _ := h.who(r)
		who, _ := r.Context().Value(callerKey{}).(caller) // the zero value over TCP
		h.log.Info("operator request", "request", path, "by", name, "pid", who.pid, "done", err == nil)
		h.answer(w, res, err)
	}))
}

func query(r *http.Request, allowed []string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &Error{Code: CodeUsage, Message: fmt.Sprintf("query: %v", err)}
	}
next:
	for name, values := range q {
		for _, a := range allowed {
			if name == a && len(values) == 1 {
				continue next
			}
		}
		return nil, &Error{Code: CodeUsage, Message: fmt.Sprintf("query parameter %q is unknown or repeated", name)}
	}
	return q, nil
}

func transport(status int, format string, args ...any) error {
	return &Error{Code: CodeUsage, Message: fmt.Sprintf(format, args...), http: status}
}

// decodeRequest reads a body of exactly one JSON object without unknown fields.
func decodeRequest[T any](w http.ResponseWriter, r *http.Request) (v T, err error) {
	if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != "application/json" {
		return v, transport(http.StatusUnsupportedMediaType, "content type must be application/json")
	}
	if r.Header.Get("Content-Encoding") != "" {
		return v, transport(http.StatusUnsupportedMediaType, "a content encoding is not supported")
	}
	body := http.MaxBytesReader(w, r.Body, maxBody)
	v, err = decodeJSON[T](body)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return v, transport(http.StatusRequestEntityTooLarge, "body: more than %d bytes", tooLarge.Limit)
	}
	if err != nil {
		return v, &Error{Code: CodeUsage, Message: fmt.Sprintf("body: %v", err)}
	}
	return v, nil
}

func decodeJSON[T any](r io.Reader) (v T, err error) {
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	if err = dec.Decode(&v); err != nil {
		return v, err
	}
	if _, err = dec.Token(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = errors.New("more than one JSON value")
		}
		return v, err
	}
	return v, nil
}

// answer sends v, or err when there is one.
func (h *handler) answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		e := asError(err)
		if e.Code == CodeInternal {
			h.log.Warn("control request failed", "err", err)
		}
		h.refuse(w, e)
		return
	}
	h.send(w, http.StatusOK, v)
}

func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeInternal, Message: err.Error()}
}

func (h *handler) refuse(w http.ResponseWriter, e *Error) { h.send(w, e.status(), e) }

func (h *handler) send(w http.ResponseWriter, status int, v any) {
	doc, err := Marshal(v, "")
	if err != nil {
		h.log.Error("control answer cannot be encoded", "err", err)
		http.Error(w, `{"code":"internal","message":"the answer cannot be encoded"}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(append(doc, '\n')); err != nil {
		h.log.Debug("control answer not delivered", "err", err)
	}
}
