package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// table is lines of cells, the first one the heads. The first column and those of words are aligned to the left.
type table [][]string

func (t *table) add(cells ...string) { *t = append(*t, cells) }

func (t table) print(b *strings.Builder) {
	heads := t[0]
	width := make([]int, len(heads))
	for _, line := range t {
		for i, cell := range line {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range t {
		var cells []string
		for i, cell := range line {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i == 0 || slices.Contains(leftAligned, heads[i]) {
				cells = append(cells, cell+pad)
			} else {
				cells = append(cells, pad+cell)
			}
		}
		fmt.Fprintln(b, "  "+strings.TrimRight(strings.Join(cells, "   "), " "))
	}
}

// leftAligned are the heads of columns of words.
var leftAligned = []string{"what a user gets"}
