package config

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"stockade/pipeline/notify"
)

// durationPattern is what ParseDuration takes, for editors.
const durationPattern = `^(-1|[0-9]+(\.[0-9]+)?|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h|d|w|mo|y) *)+)$`

// words are the legal values of the keys that have a closed set of them. Paths have [] for the
// items of a list.
var words = map[string][]string{
	"log.level":             {"debug", "info", "warn", "error"},
	"log.format":            {"auto", "text", "json"},
	"listeners[].transport": {"udp", "tcp", "tls", "unix", "unixgram", "journal-upload"},
	"listeners[].framing":   {"auto", "octet", "lf"},
	"listeners[].format":    {"auto", "rfc3164", "rfc5424"},
	"tails[].from":          {"end", "start"},
	"sources[].quota":       {"none"},
	"sources[].quota.over":  {"throttle", "quarantine"},
	"jails[].min_trust":     {"spoofable", "onlink", "address", "tls", "kernel"},
	"jails[].verdict":       {"drop", "reject"},
	"jails[].key":           {"address", "prefix", "user"},
	"firewall.backend":      {"nftables", "observe"},
	"firewall.verdict":      {"drop", "reject"},
	"firewall.owner":        {"auto", "off"},
	"notify[].type":         notify.Types,
	"notify[].preset":       notify.Presets,
	"notify[].format":       notify.Formats,
	"notify[].tls":          notify.TLSs,
}

// Schema returns a JSON schema (draft 2020-12) of a configuration file, for editors. It is the
// shape and the words; ranges and references are for check.
func Schema() ([]byte, error) {
	root := rootShape().schema("")
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Stockade configuration"
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write schema: %w", err)
	}
	return append(out, '\n'), nil
}

// schema returns the JSON schema of a place.
func (s *shape) schema(path string) map[string]any {
	switch {
	case s.elem != nil:
		// null: a list whose entries are all commented out.
		return map[string]any{"type": []string{"array", "null"}, "items": s.elem.schema(path + "[]")}
	case s.fields != nil:
		properties := map[string]any{}
		for _, f := range s.fields {
			properties[f.key] = f.schema(strings.TrimPrefix(path+"."+f.key, "."))
		}
		object := map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
		if s.scalar < 0 {
			object["type"] = []string{"object", "null"}
			return object
		}
		word := map[string]any{"type": "string"}
		if legal := words[path]; legal != nil {
			word["enum"] = legal
		}
		return map[string]any{"anyOf": []any{word, object}}
	}
	return s.leafSchema(path)
}

func (s *shape) leafSchema(path string) map[string]any {
	switch s.leaf {
	case boolLeaf:
		return map[string]any{"type": "boolean"}
	case intLeaf:
		return map[string]any{"type": "integer"}
	case uintLeaf:
		return map[string]any{"type": "integer", "minimum": 0, "maximum": json.Number(strconv.FormatUint(1<<s.typ.Bits()-1, 10))}
	case floatLeaf:
		return map[string]any{"type": "number"}
	case durationLeaf:
		return map[string]any{"type": []string{"string", "number"}, "pattern": durationPattern}
	}
	if legal := words[path]; legal != nil {
		return map[string]any{"type": "string", "enum": legal}
	}
	return map[string]any{"type": []string{"string", "number"}}
}
