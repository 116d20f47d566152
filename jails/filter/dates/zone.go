package dates

import "time"

// zones holds the offsets, in minutes, of the abbreviations that are in wide use. Where one has
// several meanings it is the one that syslog daemons mean.
var zones = map[string]int{
	"Z": 0, "UTC": 0, "GMT": 0, "UT": 0, "WET": 0, "WEZ": 0,
	"WEST": 60, "BST": 60, "CET": 60, "MEZ": 60, "MET": 60, "WAT": 60,
	"CEST": 120, "MESZ": 120, "MEST": 120, "EET": 120, "OEZ": 120, "SAST": 120, "CAT": 120, "IST": 330,
	"EEST": 180, "MSK": 180, "EAT": 180, "TRT": 180, "AST": -240, "MSD": 240, "GST": 240, "SAMT": 240,
	"IRST": 210, "IRDT": 270, "AFT": 270, "PKT": 300, "UZT": 300, "YEKT": 300,
	"NPT": 345, "OMST": 360, "MMT": 390, "ICT": 420, "WIB": 420, "KRAT": 420,
	"HKT": 480, "SGT": 480, "PHT": 480, "AWST": 480, "MYT": 480, "IRKT": 480, "WITA": 480,
	"JST": 540, "KST": 540, "WIT": 540, "YAKT": 540, "ACST": 570, "ACDT": 630,
	"AEST": 600, "VLAT": 600, "CHST": 600, "AEDT": 660, "MAGT": 660, "SBT": 660,
	"NZST": 720, "FJT": 720, "NZDT": 780, "TOT": 780,
	"AZOT": -60, "FNT": -120, "BRT": -180, "ART": -180, "UYT": -180, "ADT": -180,
	"NST": -210, "NDT": -150, "CLT": -240, "BOT": -240, "VET": -240, "EDT": -240,
	"EST": -300, "PET": -300, "COT": -300, "CDT": -300,
	"CST": -360, "MDT": -360, "MST": -420, "PDT": -420, "PST": -480, "AKDT": -480,
	"AKST": -540, "HDT": -540, "HST": -600, "HAST": -600, "SST": -660, "NUT": -660,
}

// military holds the one-letter zones.
func military(c byte) (minutes int, ok bool) {
	switch {
	case c >= 'A' && c <= 'I':
		return int(c-'A'+1) * 60, true
	case c >= 'K' && c <= 'M':
		return int(c-'A') * 60, true
	case c >= 'N' && c <= 'Y':
		return -int(c-'N'+1) * 60, true
	case c == 'Z':
		return 0, true
	}
	return 0, false
}

// zoneOffset reads a zone: an abbreviation, an offset, or an abbreviation before an offset. It
// returns seconds east of Greenwich.
func zoneOffset(text []byte) (int, bool) {
	i := 0
	var name [8]byte
	for i < len(text) && isLetter(text[i]) && i < len(name) {
		name[i] = text[i] &^ 0x20
		i++
	}
	base := 0
	if i > 0 {
		minutes, ok := zones[string(name[:i])]
		if !ok && i == 1 {
			minutes, ok = military(name[0])
		}
		if !ok {
			return 0, false
		}
		base = minutes * 60
	}
	if i == len(text) {
		return base, i > 0
	}
	rest := text[i+1:]
	if text[i] != '+' && text[i] != '-' || len(rest) < 2 {
		return 0, false
	}
	seconds := number(rest[:2]) * 3600
	rest = rest[2:]
	if len(rest) > 0 && rest[0] == ':' {
		rest = rest[1:]
	}
	if len(rest) >= 2 {
		seconds += number(rest[:2]) * 60
	}
	if text[i] == '-' {
		seconds = -seconds
	}
	return base + seconds, true
}

// number reads decimal digits and skips everything else.
func number(text []byte) int {
	n := 0
	for _, c := range text {
		if isDigit(c) {
			n = n*10 + int(c-'0')
		}
	}
	return n
}

// shift moves a time that was read as UTC to where its zone has it.
func shift(t time.Time, seconds int) time.Time { return t.Add(-time.Duration(seconds) * time.Second) }
