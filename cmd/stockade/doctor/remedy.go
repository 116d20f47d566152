package doctor

import "fmt"

// Remedy is one sentence on what would make lines count that are refused for a reason, "" when none
// is known. source is the name of their source, "" when they have none.
func Remedy(reason, source string) string {
	of := "the source"
	if source != "" {
		of = "source " + source
	}
	switch reason {
	case "hostname_not_granted":
		return fmt.Sprintf("if %s may speak for that host, add it to its hostnames", of)
	case "app_not_granted":
		return fmt.Sprintf("if %s may speak for that app, add it to its apps", of)
	case "jail_not_granted":
		return fmt.Sprintf("if %s may feed that jail, add the jail to its jails", of)
	case "below_min_trust":
		return fmt.Sprintf("%s proves less than the jail's min_trust: send over TLS or TCP, or set accept_spoofable: true", of)
	case "forged":
		return "the writer is not the one that the jail's origin names: if it is the true daemon, set origin in the jail"
	case "origin_unknown":
		return fmt.Sprintf("nobody tells who wrote the line: let %s vouch (vouches: true, with the sender's template), or take origin out of the jail", of)
	case "origin_not_vouched":
		return fmt.Sprintf("%s names writers and is not trusted to: set vouches: true if it is one host with its own certificate", of)
	case "names_protected":
		return "the address is protected: see never_ban; a line that accuses it may be a lie"
	case "names_proxy":
		return "the line names a proxy: make the service log the real client"
	case "quarantined":
		return fmt.Sprintf("%s is in quarantine: look at what it sends, then `stockade sources release NAME`", of)
	case "quota_queue_full":
		return fmt.Sprintf("too many bans of %s wait: raise its quota, or `stockade approve --source NAME`", of)
	case "queue_full":
		return "more datagrams came than could be matched: send over TCP or TLS, where the sender waits"
	case "unknown_peer", "unknown_certificate":
		return "no source names that peer: add an entry to sources; the log shows the line"
	case "wrong_interface":
		return fmt.Sprintf("the datagrams came in on another interface: set interface in %s if that is right", of)
	case "no_certificate", "untrusted", "handshake":
		return "the sender's TLS is not set up: `stockade pki bundle` makes what it needs"
	case "plaintext":
		return "the sender must use TLS, or another listener with transport: tcp"
	case "tls_on_plain":
		return "the sender must use plain TCP, or another listener with transport: tls"
	case "format":
		return "the listener demands one format: format: auto takes every line"
	case "framing", "partial_frame":
		return "the sender's framing differs: set framing: octet or lf in the listener"
	case "too_many":
		return "more connections than allowed: raise max_connections of the listener"
	}
	return ""
}
