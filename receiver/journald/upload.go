package journald

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"stockade/receiver"
	"stockade/receiver/statefile"
)

const (
	uploadKind    = "uploaded journals"
	mediaType     = "application/vnd.fdo.journal"
	headerTimeout = 10 * time.Second
	idleTimeout   = 10 * time.Minute // between two requests of a connection
	recordTimeout = 60 * time.Second // from the first byte of a record to its last
	graceTimeout  = time.Second      // for what has arrived, at the end
	keepEvery     = 5 * time.Second
	maxHeader     = 16 << 10 // bytes
)

// The reasons for which an upload is refused, beside those of package receiver.
const (
	ReasonRequest = "bad_request" // not a POST of the journal export format to /upload
)

// Upload is the listener of transport journal-upload: systemd-journal-upload posts records in the
// journal export format to /upload over HTTPS, in one request or in a stream that never ends.
// Records that a source sent before are dropped and counted: an upload that was cut is sent again
// from its beginning. Its methods may be called concurrently; Run is called once.
type Upload struct {
	terminal *receiver.Terminal
	o        receiver.Options
	log      *slog.Logger
	path     string // of the positions; "" for none
	ready    chan struct{}
	record   time.Duration // recordTimeout

	handlers sync.WaitGroup

	mu      sync.Mutex
	sources map[string]*sequence // by source name
	streams map[*stream]struct{} // requests being served
	winding bool                 // no more are taken
	changed bool
}

// sequence is how far a source has come. Its lock is held while one record is taken.
type sequence struct {
	mu   sync.Mutex
	seen positions
	kept []position // seen as of the last flush of a sink
	m    mapper
}

// Listen opens the socket of a listener of transport journal-upload, and receives nothing yet. Call
// Run, or Close to give the socket up. In stateDir it keeps which records each source sent; ""
// keeps that in memory alone.
func Listen(o receiver.Options, stateDir string) (*Upload, error) {
	t, err := receiver.OpenTerminal(o)
	if err != nil {
		return nil, err
	}
	u := &Upload{
		terminal: t, o: o, log: o.Log.With("component", "receiver", "listener", o.Config.Name),
		ready: make(chan struct{}), record: recordTimeout,
		sources: make(map[string]*sequence), streams: make(map[*stream]struct{}),
	}
	if stateDir == "" {
		return u, nil
	}
	u.path = filepath.Join(stateDir, "upload-"+o.Config.Name+".state")
	kept := make(map[string][]position)
	switch _, err := statefile.Load(u.path, uploadKind, &kept); {
	case errors.Is(err, statefile.ErrCorrupt):
		u.log.Warn("the kept positions are damaged: an upload that is sent again counts again", "err", err)
	case err != nil:
		return nil, errors.Join(fmt.Errorf("listener %q: %w", o.Config.Name, err), t.Listener().Close())
	}
	for name, last := range kept {
		last = last[:min(len(last), maxIDs)]
		u.sources[name] = &sequence{seen: positions{Last: last}, kept: slices.Clone(last), m: newMapper(o.Config.Name)}
	}
	return u, nil
}

// Ready is closed when the listener receives.
func (u *Upload) Ready() <-chan struct{} { return u.ready }

// String names the listener: "journal-upload listener [::]:19532".
func (u *Upload) String() string { return u.terminal.Listener().String() }

// Name returns the listener's configured name.
func (u *Upload) Name() string { return u.terminal.Listener().Name() }

// Addr returns the socket's own address.
func (u *Upload) Addr() net.Addr { return u.terminal.Listener().Addr() }

// Stats returns a copy of the counts.
func (u *Upload) Stats() receiver.ListenerStats { return u.terminal.Listener().Stats() }

// Reload reads the certificate, key and client CA again; connections stay.
func (u *Upload) Reload() error { return u.terminal.Listener().Reload() }

// Close gives up the socket of a listener that does not run. It may be called twice.
func (u *Upload) Close() error { return u.terminal.Listener().Close() }

// Run receives until ctx is done and then returns nil: what has arrived is taken for at most about
// a second; an upload that is cut by it is sent again later, and continues where it was.
func (u *Upload) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	socket, err := u.terminal.Socket()
	if err != nil {
		return err
	}
	door := newDoor(u, socket)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	server := &http.Server{
		Handler: http.HandlerFunc(u.serve), Protocols: protocols,
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(u.log.Handler(), slog.LevelDebug),
		ConnState: func(c net.Conn, s http.ConnState) {
			if s == http.StateClosed || s == http.StateHijacked {
				door.leave(c)
			}
		},
	}
	var wg sync.WaitGroup
	wg.Go(func() { door.run(ctx) })
	wg.Go(func() { u.keep(ctx) })
	wg.Go(func() { u.watch(ctx) })
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(door) }()
	u.log.Info("listening", "transport", u.o.Config.Transport, "address", u.Addr().String())
	close(u.ready)
	select {
	case <-ctx.Done():
	case err = <-door.failed:
	}
	cancel()
	u.wind()
	grace, stop := context.WithTimeout(context.Background(), graceTimeout)
	defer stop()
	if server.Shutdown(grace) != nil {
		_ = server.Close() // who has not ended by now is cut
	}
	if serveErr := <-stopped; err == nil && !errors.Is(serveErr, http.ErrServerClosed) && !errors.Is(serveErr, net.ErrClosed) {
		err = serveErr
	}
	u.handlers.Wait()
	wg.Wait()
	u.save()
	if closeErr := u.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", u, err)
	}
	u.log.Info("stopped")
	return nil
}

// keep looks after the certificate files and the positions.
func (u *Upload) keep(ctx context.Context) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			u.terminal.Keep()
			u.save()
		}
	}
}

// watch cuts the uploads of sources that left the configuration.
func (u *Upload) watch(ctx context.Context) {
	for {
		changed := u.o.Registry.Changed()
		u.mu.Lock()
		for s := range u.streams {
			if u.terminal.Resolve(&s.peer) == nil {
				s.cut()
			}
		}
		u.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// serve answers one request.
func (u *Upload) serve(w http.ResponseWriter, r *http.Request) {
	if r.TLS == nil {
		return
	}
	peer := u.terminal.Peer(remote(r), *r.TLS)
	source := u.terminal.Resolve(&peer)
	if source == nil {
		u.terminal.Refuse(receiver.ReasonUnknownIdentity, "", &peer, nil, nil)
		http.Error(w, "no source claims this certificate", http.StatusForbidden)
		return
	}
	if status, text := acceptable(r); status != 0 {
		u.terminal.Refuse(ReasonRequest, text, &peer, source, []byte(r.Method+" "+r.URL.Path))
		w.Header().Set("Connection", "close")
		http.Error(w, text, status)
		return
	}
	s := &stream{u: u, peer: peer, source: source, body: r.Body, control: http.NewResponseController(w)}
	if err := u.enter(s); err != nil {
		w.Header().Set("Connection", "close")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer u.leave(s)
	switch err := s.take(); {
	case errors.Is(err, io.EOF):
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "OK.\n") // a sender that is gone sends again
	case s.ending.Load():
		w.Header().Set("Connection", "close")
		http.Error(w, "stopping", http.StatusServiceUnavailable)
	case errors.Is(err, ErrFormat):
		u.terminal.Refuse(receiver.ReasonFraming, err.Error(), &peer, source, nil)
		w.Header().Set("Connection", "close")
		http.Error(w, err.Error(), http.StatusBadRequest)
	case s.gone.Load():
		u.terminal.Refuse(receiver.ReasonRemoved, "", &peer, source, nil)
	default: // the sender went away in the middle, or was too slow
		u.terminal.Refuse(receiver.ReasonPartial, err.Error(), &peer, source, nil)
		w.Header().Set("Connection", "close")
		http.Error(w, "the upload was cut", http.StatusBadRequest)
	}
}

// remote returns the address of a request's peer.
func remote(r *http.Request) net.Addr {
	a, err := net.ResolveTCPAddr("tcp", r.RemoteAddr) // numbers: nothing is looked up
	if err != nil {
		return nil
	}
	return a
}

// acceptable returns a status and a text when a request is no upload.
func acceptable(r *http.Request) (status int, text string) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.URL.Path != "/upload":
		return http.StatusNotFound, "only /upload is served"
	case r.Method != http.MethodPost:
		return http.StatusMethodNotAllowed, "an upload is a POST"
	case media != mediaType:
		return http.StatusUnsupportedMediaType, "the content type must be " + mediaType
	case r.Header.Get("Content-Encoding") != "":
		return http.StatusUnsupportedMediaType, "compressed uploads are refused: set Compression=no"
	}
	return 0, ""
}

// sequence returns how far a source has come.
func (u *Upload) sequence(name string) *sequence {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.changed = true
	q := u.sources[name]
	if q == nil {
		q = &sequence{m: newMapper(u.o.Config.Name)}
		u.sources[name] = q
	}
	return q
}

// save keeps the positions when they changed.
func (u *Upload) save() {
	if u.path == "" {
		return
	}
	u.mu.Lock()
	changed := u.changed
	u.changed = len(u.streams) > 0 // more is to come
	kept := make(map[string][]position, len(u.sources))
	for name, q := range u.sources {
		kept[name] = q.flushed()
	}
	u.mu.Unlock()
	if !changed {
		return
	}
	if err := statefile.Save(u.path, uploadKind, kept); err != nil {
		u.log.Warn("cannot keep which records have come", "err", err)
	}
}
