package control

import "context"

// StatusReporter tells how the daemon is. State and Version are filled in by the server.
type StatusReporter interface {
	Status(ctx context.Context) (Status, error)
}

// JailReporter tells the numbers and the bans of one jail; an unknown one is CodeUsage.
type JailReporter interface {
	JailReport(ctx context.Context, jail string) (JailReport, error)
}

// JailLister lists all configured jails, disabled ones too, in the order of the configuration.
type JailLister interface {
	Jails(ctx context.Context) ([]Jail, error)
}

// SourceLister lists all sources in the order of the configuration.
type SourceLister interface {
	Sources(ctx context.Context) ([]Source, error)
}

// BanLister lists the active bans of a jail, of all jails when jail is "", oldest first. An
// unknown jail is CodeUsage.
type BanLister interface {
	Bans(ctx context.Context, jail string) ([]Ban, error)
}

// Banner bans by hand. Width and the caller's own login have been checked; protected addresses
// (CodeProtected) and unknown jails (CodeUsage) are the Banner's to refuse.
// It returns once the ban is enforced or it is known that it is not.
type Banner interface {
	Ban(ctx context.Context, r BanRequest) (BanResult, error)
}

// Unbanner lifts bans. Exactly one of r.Address, r.All and r.Source is set. Nothing to lift is
// CodeNotFound, an address under a wider ban CodeCovered with the ban's name in the message.
type Unbanner interface {
	Unban(ctx context.Context, r UnbanRequest) (UnbanResult, error)
}

// Approver begins the bans that wait for a source's quota; an unknown source is CodeUsage. It
// returns once they are enforced.
type Approver interface {
	Approve(ctx context.Context, r SourceRequest) (ApproveResult, error)
}

// Releaser ends the quarantine of a source; an unknown source is CodeUsage, one that is in no
// quarantine CodeNotFound.
type Releaser interface {
	Release(ctx context.Context, r SourceRequest) (ReleaseResult, error)
}

// Explainer tells what is known of an address.
type Explainer interface {
	Explain(ctx context.Context, t Target) (Explain, error)
}

// Doctor walks the way of a line, of one jail or of all when jail is "", and tells what is broken. An
// unknown jail is CodeUsage. The server sets OK and Broken.
type Doctor interface {
	Doctor(ctx context.Context, jail string) (Diagnosis, error)
}

// Reloader reads the configuration again, or confirms the one in force. A bad one changes nothing
// and is CodeBadConfig with its Problems; with nothing to confirm it is CodeNotFound.
type Reloader interface {
	Reload(ctx context.Context, r ReloadRequest) (ReloadResult, error)
}

// Shadower tells what shadow jails would have banned: one, or all when jail is "". An unknown jail is
// CodeUsage, one that enforces CodeRefused.
type Shadower interface {
	Shadow(ctx context.Context, jail string) ([]Shadow, error)
}

// CanarySetter hands out what a source needs to send canaries. Unknown sources and jails, and a
// source that may not feed the jail, are CodeUsage.
type CanarySetter interface {
	CanaryKey(ctx context.Context, r CanaryRequest) (CanaryKey, error)
}

// CanaryLister lists the canaries that arrived since the start, by source and jail.
type CanaryLister interface {
	Canaries(ctx context.Context) ([]Canary, error)
}

// Logger tells how the daemon logs.
type Logger interface {
	Log(ctx context.Context) (LogState, error)
}

// LogSetter changes how the daemon logs until it is reloaded with another log section or started
// again. A target that cannot be opened is CodeUsage and changes nothing.
type LogSetter interface {
	SetLog(ctx context.Context, r LogRequest) (LogState, error)
}

// NotifyTester sends a test over one channel and returns once it was delivered, or tells what it would
// send. An unknown channel is
// CodeUsage, one that does not deliver CodeRefused with the cause in the message.
type NotifyTester interface {
	NotifyTest(ctx context.Context, r NotifyRequest) (NotifyResult, error)
}

// Meter takes a snapshot of all metrics. It must be quick: a scrape waits for it.
type Meter interface {
	Metrics() []Metric
}

// Services are what the server needs of the daemon. All fields must be set; their methods are
// called concurrently, with a context that ends when the client leaves or the server stops.
type Services struct {
	Status     StatusReporter
	JailReport JailReporter
	Jails      JailLister
	Sources    SourceLister
	Bans       BanLister
	Ban        Banner
	Unban      Unbanner
	Adopt      Adopter
	Approve    Approver
	Release    Releaser
	Explain    Explainer
	Doctor     Doctor
	Reload     Reloader
	Shadow     Shadower
	CanaryKey  CanarySetter
	Canaries   CanaryLister
	Log        Logger
	SetLog     LogSetter
	NotifyTest NotifyTester
	Metrics    Meter
}

// Daemon is one value that implements every service.
type Daemon interface {
	StatusReporter
	JailReporter
	JailLister
	SourceLister
	BanLister
	Banner
	Unbanner
	Adopter
	Approver
	Releaser
	Explainer
	Doctor
	Reloader
	Shadower
	CanarySetter
	CanaryLister
	Logger
	LogSetter
	NotifyTester
	Meter
}

// ServicesOf returns Services that are all d.
func ServicesOf(d Daemon) Services {
	return Services{
		Status: d, JailReport: d, Jails: d, Sources: d, Bans: d,
		Ban: d, Unban: d, Adopt: d, Approve: d, Release: d, Explain: d, Doctor: d, Reload: d,
		Shadow: d, CanaryKey: d, Canaries: d, Log: d, SetLog: d, NotifyTest: d, Metrics: d,
	}
}
