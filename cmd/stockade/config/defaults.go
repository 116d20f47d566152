package config

import (
	"strconv"
	"strings"
)

// defaultFile is what positions call the built-in configuration.
const defaultFile = "built-in default"

// baseDefaults hold for every configuration.
const baseDefaults = `state_dir: $STATE
control: {socket: $RUN/control.sock}
log: {level: info, format: auto, target: stderr}
defaults: {maxretry: 5, findtime: 10m, bantime: 1h, increment: {enabled: true, multipliers: [1, 4, 24, 168]}}
protect_lan: true
firewall: {backend: nftables, table: stockade, verdict: drop, owner: auto, ipv6_prefix: 64}
memory: {windows: 262144, offenders: 524288, evidence: 67108864, history: 30d}
`

// hostDefaults serve this host where no file exists at all.
const hostDefaults = `listeners: [{name: local, transport: unixgram, path: $RUN/syslog.sock, mode: "0666"}]
sources: [{name: this-host, listener: local, jails: ["*"]}]
jails: [{name: sshd, filter: sshd, origin: {uid: [$UIDS]}}]
`

// The two ways in which the built-in default reads the local journal of a systemd host.
const (
	// JournalSocket takes what journald forwards.
	JournalSocket = "socket"
	// JournalProgram runs journalctl.
	JournalProgram = "journalctl"
)

// journalDefaults are added to hostDefaults, by Options.Journal.
var journalDefaults = map[string]string{
	JournalSocket: `listeners: [{name: journal, transport: unixgram, path: /run/systemd/journal/syslog, mode: "0600"}]
sources: [{name: journal, listener: journal, jails: ["*"]}]
`,
	JournalProgram: `journals: [{name: journal}]
`,
}

// defaultTree returns the tree of a default text with the folders and uids of this process.
func defaultTree(text string, o Options, f Folders, problems *problems) *node {
	uids := "0"
	if !o.Root && o.UID != 0 {
		uids += ", " + strconv.Itoa(o.UID)
	}
	tree, _ := parse(defaultFile, []byte(strings.ReplaceAll(text, "$UIDS", uids)), problems)
	replaceIn(tree, strings.NewReplacer("$STATE", f.State, "$RUN", f.Run))
	return tree
}

// replaceIn rewrites the scalars of a tree: a folder's name may hold what YAML would read.
func replaceIn(n *node, r *strings.Replacer) {
	if n.kind == scalarNode && strings.HasPrefix(n.text, "$") {
		n.text, n.plain = r.Replace(n.text), false
	}
	for _, e := range n.entries {
		replaceIn(e.value, r)
	}
	for _, item := range n.items {
		replaceIn(item, r)
	}
}
