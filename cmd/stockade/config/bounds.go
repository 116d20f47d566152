package config

import (
	"fmt"

	"github.com/goccy/go-yaml/token"
)

// bounds walks the tokens of a file before they are parsed and stops what would make the
// recursive parser deep or slow.
type bounds struct {
	flow   int        // open brackets
	dashes int        // list entries begun on this line
	line   int        // of the last token
	blocks []keyCount // block mappings that are open, by their column, outermost first
	keys   int        // since the last closing bracket, inside brackets
}

// keyCount counts the keys of a block mapping.
type keyCount struct{ column, keys int }

// bounded reports the first token that goes beyond the bounds, if there is one.
func (p *fileParser) bounded(tokens token.Tokens) bool {
	if len(tokens) > maxTokens {
		p.problems.fault(position{file: p.file}, "", "has %d words and signs; at most %d are read", len(tokens), maxTokens)
		return false
	}
	var b bounds
	for _, t := range tokens {
		if excess := b.next(t); excess != "" {
			p.problems.fault(p.at(t), "", "%s", excess)
			return false
		}
	}
	return true
}

// next takes one more token and returns what is too much, or "".
func (b *bounds) next(t *token.Token) string {
	first := t.Position.Line != b.line
	if first {
		b.line, b.dashes = t.Position.Line, 0
	}
	switch t.Type {
	case token.SequenceStartType, token.MappingStartType:
		b.flow++
		b.keys = 0
	case token.SequenceEndType, token.MappingEndType:
		b.flow = max(b.flow-1, 0)
		b.keys = 0
	case token.SequenceEntryType, token.MappingKeyType:
		b.dashes++
	case token.MappingValueType:
		b.keys++
	}
	if b.flow == 0 {
		b.keys = 0
		if first || b.dashes > 0 {
			b.block(t)
		}
	}
	switch {
	case b.flow > maxDepth || b.dashes > maxDepth || len(b.blocks) > 2*maxDepth:
		return fmt.Sprintf("more than %d levels of lists and mappings", maxDepth)
	case b.keys > maxKeys || len(b.blocks) > 0 && b.blocks[len(b.blocks)-1].keys > maxKeys:
		return fmt.Sprintf("more than %d keys in one mapping", maxKeys)
	}
	return ""
}

// block counts a token that can be the key of a block mapping: the first of a line, or one
// behind the dash of a list entry.
func (b *bounds) block(t *token.Token) {
	column := t.Position.Column
	for len(b.blocks) > 0 && b.blocks[len(b.blocks)-1].column > column {
		b.blocks = b.blocks[:len(b.blocks)-1]
	}
	if len(b.blocks) == 0 || b.blocks[len(b.blocks)-1].column < column {
		b.blocks = append(b.blocks, keyCount{column: column})
	}
	if t.Type != token.SequenceEntryType && t.Type != token.CommentType {
		b.blocks[len(b.blocks)-1].keys++
	}
}
