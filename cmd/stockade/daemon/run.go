package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
	"stockade/cmd/stockade/host"
	"stockade/firewall"
	"stockade/firewall/nft"
	"stockade/jails/state"
	"stockade/pipeline"
	"stockade/pipeline/action"
	"stockade/pipeline/notify"
	"stockade/receiver"
)

// Options say what to serve.
type Options struct {
	Config  string // the file; empty: the default one, or the built-in default
	Observe bool   // record bans, enforce none
	Stderr  io.Writer
	Serving func() // called once it serves; nil: nothing
}

// Run serves until ctx is done. The error is a *config.Errors for a bad configuration, and wraps
// syscall.EADDRINUSE for an address in use and firewall.ErrCapability for a backend that may not
// be used.
func Run(ctx context.Context, o Options) error { return newDaemon(o).run(ctx) }

func newDaemon(o Options) *daemon {
	return &daemon{options: o, started: time.Now(), trial: newTrial()}
}

func (d *daemon) run(ctx context.Context) error {
	var journal string
	d.journal, journal = journalWay()
	opts := d.configOptions()
	b, err := load(opts, d.override, nil, true)
	if err != nil {
		return err
	}
	if d.logs, err = newLogs(d.options.Stderr, b.loaded.Config.Log); err != nil {
		return err
	}
	defer func() { _ = d.logs.Close() }() // what is logged later goes to standard error
	d.log = d.logs.logger()
	d.sayConfig(b.loaded)
	if len(b.loaded.Files) == 0 {
		d.log.Info("local journal", "feed", journal)
	}
	if err := b.loaded.Folders.Create(opts.UID); err != nil {
		return err
	}
	if err := d.build(b); err != nil {
		return err
	}
	d.host = d.newHostWatcher(ctx, b.loaded.Config)
	kernel := []Task{d.pipeline, d.addresses, d.host}
	if e, ok := d.enforcer.(*nft.Enforcer); ok {
		kernel = append(kernel, newWatcher(d, e))
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	stages := [][]Task{{d.store, d.notifier, d.actions}, kernel, {d.server, d.health, d.peers}, {d.inputs}, {newReloader(d, hangup)}}
	err = supervise(ctx, d.log, stages, d.saysServing)
	return errors.Join(err, d.inputs.Close(), d.enforcer.Close())
}

// daemon is a running Stockade. It implements control.Daemon.
type daemon struct {
	options   Options
	journal   string // how the built-in default reads the local journal
	log       *slog.Logger
	logs      *logs
	started   time.Time
	store     *state.Store
	enforcer  pipeline.Firewall
	guard     *pipeline.Guard
	admission pipeline.Admission
	pipeline  *pipeline.Pipeline
	registry  *receiver.Registry
	inputs    *inputs
	inherited map[string][]*os.File // sockets that systemd passed in, by listener
	addresses *addresses
	host      *host.Watcher
	server    *control.Server
	health    *health
	peers     *peers
	notifier  *notify.Notifier
	actions   *action.Runner
	canaries  *canaries
	flush     pipeline.Histogram // of nftables batches
	synced    pipeline.Histogram // of the journal's writes with their fsync
	degraded  conditions
	current   current
	reloading sync.Mutex // held while a configuration is put in force
	trial     *trial
}

// configOptions say where the daemon's configuration comes from.
func (d *daemon) configOptions() config.Options {
	opts := config.ProcessOptions(d.options.Config)
	opts.StrictEnv = true
	opts.Journal = d.journal
	return opts
}

func (d *daemon) override(c *config.Config) {
	if d.options.Observe {
		c.Firewall.Backend = firewall.BackendObserve
	}
}

// build opens everything, undoing its steps when a later one fails.
func (d *daemon) build(b *built) (err error) {
	var undo []func() error
	defer func() {
		if err != nil {
			for i := len(undo) - 1; i >= 0; i-- {
				err = errors.Join(err, undo[i]())
			}
		}
	}()
	cfg := b.loaded.Config
	d.current.set(b)
	d.guard = pipeline.NewGuard()
	d.guard.Set(pipeline.LayerOperator, b.never)
	d.guard.Set(pipeline.LayerPeers, b.peers)
	d.admission = pipeline.Admission{Quotas: pipeline.NewQuotas(), Successes: pipeline.NewSuccesses()}
	d.setQuotas(b)
	if d.enforcer, err = d.openFirewall(b.loaded); err != nil {
		return err
	}
	undo = append(undo, d.enforcer.Close)
	d.registry = receiver.NewRegistry(b.sources)
	d.addresses = newAddresses(d)
	d.health = newHealth(d)
	d.peers = newPeers(d)
	if d.server, err = control.New(control.Options{
		Socket: cfg.Control.Socket, Group: cfg.Control.Group, ReadGroup: cfg.Control.ReadGroup,
		TCP: control.TCPOptions{
			Listen: cfg.Control.Listen, Cert: cfg.Control.Cert, Key: cfg.Control.Key,
			ClientCA: cfg.Control.ClientCA, TokenFile: cfg.Control.TokenFile,
		},
		Services: control.ServicesOf(d), Log: d.log,
	}); err != nil {
		return err
	}
	undo = append(undo, d.server.Close)
	// The control socket is ours from here on: no other daemon has this state folder open.
	memory := state.Options{
		Dir: cfg.StateDir, Admit: d.admission.Admit, Log: d.log,
		Ended:    func(b *state.Ban) { d.pipeline.Ended(b) },   // nothing ends before there is a pipeline
		Enforced: d.enforcer.Name() != firewall.BackendObserve, // the pipeline restores them before the server answers
	}
	memory.Limit(cfg.Memory)
	if d.store, err = state.Open(memory); err != nil {
		return err
	}
	d.store.ObserveSync(d.synced.Observe)
	undo = append(undo, d.store.Close)
	if d.canaries, err = openCanaries(cfg.StateDir); err != nil {
		return err
	}
	if d.notifier, err = notify.New(cfg.Notify, notify.Options{Log: d.log, Bans: d.bansFor}); err != nil {
		return err
	}
	if err = d.openActions(cfg); err != nil {
		return err
	}
	d.pipeline = pipeline.New(pipeline.Options{
		Plan: pipeline.NewPlan(b.bound, b.sources.All()), Guard: d.guard, Store: d.store, Admission: d.admission,
		Enforcer: d.timed(), Event: d.tell, Canary: d.canaries.hear, Causes: d.causes, Dir: cfg.StateDir, IPv6Prefix: cfg.Firewall.IPv6Prefix, Log: d.log,
		Ahead: d.ahead(cfg),
	})
	for _, b := range d.store.Recovery().Ended {
		d.pipeline.Ended(b)
	}
	d.inputs = newInputs(d.log)
	d.inherited = receiver.Inherited()
	d.warnInherited(cfg)
	return d.inputs.Open(d.plugs(cfg))
}

// setQuotas puts the quotas of a configuration in force. Only the kernel's own word needs none.
func (d *daemon) setQuotas(b *built) {
	transports, worth := b.transports(), b.surveyed()
	d.admission.Quotas.Set(b.sources.All(), func(s *receiver.Source) bool {
		least, _ := trust(s, transports[s.Listener], worth)
		return least == receiver.LevelKernel
	})
}

// openFirewall opens the configured backend. Where no file asks for nftables and the process may
// not use it, it observes, and says so.
func (d *daemon) openFirewall(l *config.Loaded) (pipeline.Firewall, error) {
	cfg := l.Config.Firewall
	if cfg.Backend == firewall.BackendObserve {
		return firewall.NewObserve(), nil
	}
	e, err := nft.Open(nft.Options{Config: cfg, Log: d.log})
	if err == nil {
		return e, nil
	}
	if errors.Is(err, firewall.ErrCapability) && len(l.Files) == 0 {
		const cause = "no CAP_NET_ADMIN: bans are recorded and NOT enforced; run as root, or set firewall.backend"
		d.degraded.set("observe_fallback", cause)
		d.log.Warn("NOTHING IS BLOCKED: " + cause)
		return firewall.NewObserve(), nil
	}
	return nil, fmt.Errorf("firewall: %w", err)
}

// ahead is where bans are noted before they go to the kernel: beside the control socket, in a folder
// that outlives the process and not the host.
func (d *daemon) ahead(cfg *config.Config) string {
	if d.enforcer.Name() == firewall.BackendObserve {
		return ""
	}
	return cfg.Control.Socket + ".ahead"
}

// causes tells what on this host lets packets pass our chains by.
func (d *daemon) causes() []string {
	if d.enforcer.Name() == firewall.BackendObserve {
		return nil
	}
	found, err := nft.Diagnose(nft.Options{Config: d.current.get().loaded.Config.Firewall, Log: d.log})
	if err != nil {
		d.log.Warn("what may pass our chains by cannot be looked for", "err", err)
	}
	texts := make([]string, len(found))
	for i, c := range found {
		texts[i] = c.Text
	}
	return texts
}

func (d *daemon) sayConfig(l *config.Loaded) {
	for _, o := range l.Overrides() {
		d.log.Info("a later layer overrides a value", "override", o.String())
	}
	for _, p := range l.Problems() {
		d.log.Warn("configuration", "problem", p.String())
	}
}

func (d *daemon) saysServing() {
	notifySystemd(sd.SdNotifyReady)
	b := d.current.get()
	from := "built-in default"
	if len(b.loaded.Files) > 0 {
		from = b.loaded.Files[0]
	}
	d.log.Info("serving", "config", from, "jails", len(b.bound), "listeners", len(b.loaded.Config.Listeners),
		"backend", d.enforcer.Name(), "control", b.loaded.Config.Control.Socket, "took", time.Since(d.started).Round(time.Millisecond).String())
	if d.options.Serving != nil {
		d.options.Serving()
	}
}
