// Package decode reads one syslog frame: PRI, header, structured data, text (RFC 3164, RFC 5424
// and what real senders make of them). It never fails: what cannot be read as a header is text,
// and no byte of the message is lost. A Decoder keeps no bytes and belongs to one goroutine.
//
// # The ladder
//
// A frame without a PRI of 0 to 191 is all text (Unknown). Behind the PRI, RFC 5424 is tried
// first, then a header with a BSD stamp (RFC3164), then one with an ISO 8601 stamp (ISO), then
// one without a stamp (Bare). Which step was taken is the message's Form.
//
// # HOSTNAME and TAG
//
// Many senders leave the host out. A TAG is recognised by what ends it: a colon, or a PID in
// brackets. So the first word behind the stamp is the TAG if it ends in ":" or "[pid]", because
// no host name does; else it is the HOSTNAME, and the second word is looked at in the same way.
// A word that ends in neither is never cut off the text: App stays empty then. Without a stamp
// the first word is a TAG under the same rule, and a HOSTNAME only before a TAG with a PID. A log
// level in capitals behind an ISO stamp is no HOSTNAME: loggers of applications write it there.
//
// Three families have app names of their own, so that a catalogue can name them by a glob:
//
//   - Cisco: App is the mnemonic, as in "%ASA-6-605004" or "%SEC_LOGIN-4-LOGIN_FAILED" (glob
//     "%ASA-*"). Text keeps the mnemonic: "%ASA-6-605004: Login denied from …". A relay that
//     re-sends the line as RFC 5424 gives the same App, and a Text without the mnemonic.
//     Sequence number, clock marks and origin host in front are header.
//   - MikroTik RouterOS: App is the list of topics, as in "system,error,critical" (glob
//     "system,error,*"), Text what follows it. A word is such a list if its parts are separated
//     by commas and one of them is debug, info, warning, error or critical.
//   - CEF and LEEF without a TAG: App is "CEF" or "LEEF", and Text begins with "CEF:0|".
//
// One space behind the TAG is header. In RFC 5424 so is a second space in front of the text
// (rsyslog's protocol-23 template writes two), and the BOM.
//
// # Time
//
// A BSD stamp has no year: the year that puts it nearest to the time of receipt is taken, and
// for a line of a file the latest year that puts it at most one day ahead of now. A stamp
// without a zone is read in the decoder's location. The year is chosen by the hour of receipt.
package decode
