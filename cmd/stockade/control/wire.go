package control

import (
	"bytes"
	"encoding/json"
	"math"
	"net/netip"
	"time"
)

// List is a list that is written as [] when it is nil.
type List[T any] []T

// MarshalJSON writes [] for a nil list.
func (l List[T]) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // as Marshal does: lines begin with <PRI>
	err := enc.Encode([]T(l))
	return buf.Bytes(), err
}

// Counts maps a name to a number; nil is written as {}.
type Counts map[string]int64

// MarshalJSON writes {} for a nil map.
func (c Counts) MarshalJSON() ([]byte, error) {
	if c == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(map[string]int64(c))
}

// Text is a text that is written as null when it is empty, and read back as empty.
type Text string

// MarshalJSON writes null for the empty text.
func (t Text) MarshalJSON() ([]byte, error) {
	if t == "" {
		return []byte("null"), nil
	}
	return Marshal(string(t), "")
}

// Seconds is a duration in whole seconds; -1 means for ever.
type Seconds int64

// SecondsOf rounds d to whole seconds, a positive d to at least 1; a negative d is for ever.
func SecondsOf(d time.Duration) Seconds {
	switch {
	case d < 0:
		return -1
	case d > 0 && d < time.Second:
		return 1
	}
	return Seconds(d.Round(time.Second) / time.Second)
}

// Duration is s as a time.Duration, at most its longest; negative when s is for ever.
func (s Seconds) Duration() time.Duration {
	if s < 0 {
		return -1
	}
	if s > math.MaxInt64/Seconds(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(s) * time.Second
}

// Moment returns t for a field that is null when t is the zero time, as with a permanent ban's end.
func Moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// The values of Status.State.
const (
	StateOK       = "ok"
	StateDegraded = "degraded"
)

// Status is the answer to `status`. The server sets State: degraded when Degraded is not empty.
type Status struct {
	State    string           `json:"state"`
	Degraded List[Degraded]   `json:"degraded"`
	Backend  string           `json:"backend"` // "nftables" or "observe": the one at work
	Version  string           `json:"version"` // set by the server
	Started  time.Time        `json:"started"`
	Jails    List[JailStatus] `json:"jails"`
	Pending  *Pending         `json:"pending"` // the configuration that waits for its confirmation, or null
	Notes    List[string]     `json:"notes"`   // what the operator should know and is no fault, one sentence each
}

// Pending is a configuration that is in force and goes back unless it is confirmed.
type Pending struct {
	Since time.Time `json:"since"` // when the last confirmed configuration was left
	Until time.Time `json:"until"` // when it comes back
}

// Degraded is one reason why "you are protected" is not wholly true. Each item of
// Status.Degraded is an object, not a string, so that cause and time travel with the name.
type Degraded struct {
	Name  string    `json:"name"`  // fixed vocabulary, like "observe_fallback"
	Cause string    `json:"cause"` // one sentence for the operator
	Since time.Time `json:"since"`
}

// JailStatus are the numbers of one jail.
type JailStatus struct {
	Name          string `json:"name"`
	FailedCurrent int64  `json:"failed_current"` // addresses with a non-empty window
	FailedTotal   int64  `json:"failed_total"`
	BannedCurrent int64  `json:"banned_current"`
	BannedTotal   int64  `json:"banned_total"`
}

// JailReport is the answer to `status JAIL`.
type JailReport struct {
	JailStatus
	Sources List[string]       `json:"sources"` // names of the sources that may feed the jail
	Banned  List[netip.Prefix] `json:"banned"`  // in the form of Ban.Address, oldest ban first
}

// Ban is one ban of one prefix in one jail.
type Ban struct {
	Address  netip.Prefix `json:"address"` // 192.0.2.7/32, 2001:db8::/64
	Jail     string       `json:"jail"`
	Source   Text         `json:"source"` // "operator" for a manual ban
	Trust    Text         `json:"trust"`
	Start    time.Time    `json:"start"`
	End      *time.Time   `json:"end"` // nil: permanent
	Reason   Text         `json:"reason"`
	Failures int64        `json:"failures"`
	Enforced bool         `json:"enforced"` // read back from the kernel
	Ports    List[string] `json:"ports"`    // empty: everything
	Count    int64        `json:"count"`    // how many bans of the address in this jail, this one included
	Packets  *int64       `json:"packets"`  // stopped by the kernel since the ban was last set; nil: unknown
	Bytes    *int64       `json:"bytes"`    // of those packets
}

// Jail is one entry of `jails`.
type Jail struct {
	Name     string       `json:"name"`
	Filter   string       `json:"filter"` // catalogue name, fail2ban:PATH, or "inline"
	Enabled  bool         `json:"enabled"`
	Enforce  bool         `json:"enforce"`
	MaxRetry int64        `json:"maxretry"`
	FindTime Seconds      `json:"findtime"`
	BanTime  Seconds      `json:"bantime"` // -1: permanent
	Ports    List[string] `json:"ports"`   // empty: everything
	MinTrust string       `json:"min_trust"`
	Apps     List[string] `json:"apps"` // empty: any
}

// Source is one entry of `sources`.
type Source struct {
	Name      string     `json:"name"`
	Listener  string     `json:"listener"` // name of its listener, tail or journal
	Identity  Text       `json:"identity"` // what peers must prove, as one short text
	Trust     string     `json:"trust"`    // level name: the least that its lines are believed
	State     string     `json:"state"`    // "ok", "never seen", "silent", "throttled", "quarantined"
	Lines     int64      `json:"lines"`
	Failures  int64      `json:"failures"`
	Bans      int64      `json:"bans"`
	Pending   int64      `json:"pending"` // bans that wait for the quota
	Refused   Counts     `json:"refused"` // lines and peers refused, by reason
	QuotaLeft *int64     `json:"quota_left"`
	LastSeen  *time.Time `json:"last_seen"`
	// TrustReason says why Trust is what it is, where the files of a tail decide it; else "".
	TrustReason Text   `json:"trust_reason"`
	Grants      Grants `json:"grants"`
	// ListenerRefused is what its listener refused in all, by reason: unknown peers too.
	ListenerRefused Counts `json:"listener_refused"`

	Skew  int64 `json:"skew"`  // seconds its stamps are behind the time of arrival
	Delay int64 `json:"delay"` // seconds its last line waited on the way
}

// Grants are what a source may claim and feed. Empty lists of hosts and apps mean any.
type Grants struct {
	Jails     List[string] `json:"jails"` // "*": all
	Hostnames List[string] `json:"hostnames"`
	Apps      List[string] `json:"apps"`
	Vouches   bool         `json:"vouches"` // it names the writers of its lines
	Spoofable bool         `json:"accept_spoofable"`
}

// Problem is one fault of a configuration.
type Problem struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Path     Text   `json:"path"`     // key path in the file: $.jails[0].findtime
	Severity string `json:"severity"` // "error" or "warning"
	Message  string `json:"message"`
}

// Check is the answer to `check`.
type Check struct {
	OK       bool          `json:"ok"`
	Problems List[Problem] `json:"problems"`
}

// BanRequest asks for a manual ban.
type BanRequest struct {
	Address Target     `json:"address,omitzero"`
	Jail    string     `json:"jail,omitempty"`   // "": the jail "manual"
	For     *Seconds   `json:"for,omitempty"`    // nil: the jail's bantime; -1: permanent
	Reason  string     `json:"reason,omitempty"` // at most 256 bytes
	Force   bool       `json:"force,omitempty"`  // lifts the limit of width, nothing else
	Session netip.Addr `json:"session,omitzero"` // where the caller's own login comes from
}

// BanResult is the outcome of a manual ban.
type BanResult struct {
	Ban     Ban  `json:"ban"`     // the ban that holds now
	Changed bool `json:"changed"` // false when a ban as long was there already
}

// UnbanRequest asks to lift bans. Exactly one of Address, All and Source is set.
type UnbanRequest struct {
	Address Target     `json:"address,omitzero"`
	All     bool       `json:"all,omitempty"`
	Source  string     `json:"source,omitempty"`
	Since   *time.Time `json:"since,omitempty"` // with Source: only bans begun at or after it
	Jail    string     `json:"jail,omitempty"`  // "": in all jails
}

// UnbanResult is the outcome of an unban.
type UnbanResult struct {
	Unbanned int64 `json:"unbanned"` // bans lifted
}

// SourceRequest names a source.
type SourceRequest struct {
	Source string `json:"source"`
}

// ApproveResult is the outcome of an approval.
type ApproveResult struct {
	Approved int64 `json:"approved"` // bans that waited and now hold
}

// ReleaseResult is the outcome of ending a quarantine.
type ReleaseResult struct {
	Released bool `json:"released"`
}

// ReloadRequest asks to read the configuration again. At most one field is set.
type ReloadRequest struct {
	// Confirm is how long the new configuration may stay without a confirmation, 10 s to 1 d; 0: it
	// needs none, unless one before it waits: its time then goes on.
	Confirm Seconds `json:"confirm,omitempty"`
	Keep    bool    `json:"keep,omitempty"` // reads nothing: confirms what is in force
}

// ReloadResult is the outcome of a reload that succeeded.
type ReloadResult struct {
	Warnings     List[Problem]   `json:"warnings"`
	ConfirmUntil *time.Time      `json:"confirm_until"` // it goes back then unless it is confirmed; null: it stays
	Promoted     List[Promotion] `json:"promoted"`      // jails that began to enforce
}

// Promotion says what became of the bans that a jail had only reported when it began to enforce.
type Promotion struct {
	Jail   string `json:"jail"`
	Began  int64  `json:"began"`  // hold now
	Spared int64  `json:"spared"` // were lifted: the address logged in lately, or looks like a proxy
}

// NotifyRequest names a channel of `notify`.
type NotifyRequest struct {
	Name   string `json:"name"`
	DryRun bool   `json:"dry_run,omitempty"` // tell what would be sent of a ban, and send nothing
}

// NotifyResult is the outcome of a test that was delivered, or of a dry run.
type NotifyResult struct {
	Delivered bool   `json:"delivered"`
	Message   string `json:"message,omitempty"` // what a dry run would have sent, without secrets
}

// Version says which build is running.
type Version struct {
	Version  string `json:"version"`
	Revision Text   `json:"revision"`
	Go       string `json:"go"`
}

// Pong is the answer to a ping.
type Pong struct {
	Pong bool `json:"pong"`
}

// Marshal writes v as JSON without HTML escapes. Characters that a terminal could act on
// (C1 controls, direction marks and other unprintable ones) are written as \u escapes; the C0
// controls are by JSON's own rule. indent is "" for one line. The result ends without newline.
func Marshal(v any, indent string) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return EscapeJSON(bytes.TrimSuffix(buf.Bytes(), []byte{'\n'})), nil
}
