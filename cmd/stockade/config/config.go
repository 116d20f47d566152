package config

import (
	"stockade/firewall"
	"stockade/jails"
	"stockade/jails/state"
	"stockade/pipeline/action"
	"stockade/pipeline/notify"
	"stockade/receiver"
	"stockade/receiver/journald"
	"stockade/receiver/tail"
)

// Config is the whole configuration as decoded. Zero values mean "not written, no default".
type Config struct {
	StateDir   string                    `yaml:"state_dir"`
	Control    ControlConfig             `yaml:"control"`
	Log        LogConfig                 `yaml:"log"`
	Listeners  []receiver.ListenerConfig `yaml:"listeners"`
	Tails      []tail.Config             `yaml:"tails"`
	Journals   []journald.Config         `yaml:"journals"`
	Sources    []receiver.SourceConfig   `yaml:"sources"`
	Defaults   jails.DefaultsConfig      `yaml:"defaults"`
	Jails      []jails.Config            `yaml:"jails"`
	NeverBan   []string                  `yaml:"never_ban"` // addresses, prefixes, file:PATH
	Proxies    []string                  `yaml:"proxies"`   // addresses and prefixes, file:PATH
	ProtectLAN bool                      `yaml:"protect_lan"`
	Firewall   firewall.Config           `yaml:"firewall"`
	Memory     state.Config              `yaml:"memory"`
	Notify     []notify.Config           `yaml:"notify"`
	AllowShell bool                      `yaml:"allow_shell_actions"` // without it no action runs
	Actions    []action.Config           `yaml:"actions"`
}

// ControlConfig is `control`: where the daemon answers its operators, and whom.
type ControlConfig struct {
	Socket    string `yaml:"socket"`     // absolute path of the unix socket
	Group     string `yaml:"group"`      // may read and change; absent: root only
	ReadGroup string `yaml:"read_group"` // may read
	Listen    string `yaml:"listen"`     // host:port of the TCP listener; absent: none
	Cert      string `yaml:"cert"`
	Key       string `yaml:"key"`
	ClientCA  string `yaml:"client_ca"`
	TokenFile string `yaml:"token_file"`
}

// LogConfig is `log`: what the daemon says of itself.
type LogConfig struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // auto, text, json
	Target string `yaml:"target"` // LogStderr, or the absolute path of a file
}

// LogStderr is the target of a log that goes to standard error, which is the journal in a unit.
const LogStderr = "stderr"
