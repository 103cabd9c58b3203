package logs

import (
	"fmt"
	"regexp"
	"strings"
)

// directives are strftime's, as patterns of what they stand for, for awslogs-datetime-format.
var directives = map[byte]string{
	'a': `(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)`,
	'A': `(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)`,
	'b': `(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)`,
	'B': `(?:January|February|March|April|May|June|July|August|September|October|November|December)`,
	'c': `\S+ \S+ +\d{1,2} \d{2}:\d{2}:\d{2} \d{4}`,
	'd': `(?:0[1-9]|[12][0-9]|3[01])`,
	'f': `[0-9]{6}`,
	'H': `(?:[01][0-9]|2[0-3])`,
	'I': `(?:0[1-9]|1[0-2])`,
	'j': `(?:00[1-9]|0[1-9][0-9]|[12][0-9]{2}|3[0-5][0-9]|36[0-6])`,
	'L': `\.[0-9]{3}`,
	'm': `(?:0[1-9]|1[0-2])`,
	'M': `[0-5][0-9]`,
	'p': `(?:AM|PM)`,
	'S': `(?:[0-5][0-9]|60)`,
	'U': `(?:[0-4][0-9]|5[0-3])`,
	'w': `[0-6]`,
	'W': `(?:[0-4][0-9]|5[0-3])`,
	'x': `\d{2}/\d{2}/\d{2}`,
	'X': `\d{2}:\d{2}:\d{2}`,
	'y': `[0-9]{2}`,
	'Y': `[0-9]{4}`,
	'z': `[+-][0-9]{4}`,
	'Z': `[A-Z]{1,4}T`,
	'%': `%`,
}

// datetimePattern matches a line that has a date of a strftime format in it.
func datetimePattern(format string) (*regexp.Regexp, error) {
	if format == "" {
		return nil, fmt.Errorf("must not be empty")
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteString(regexp.QuoteMeta(format[i : i+1]))
			continue
		}
		i++
		if i < len(format) && format[i] == '-' { // without leading zeros
			i++
			if i < len(format) && strings.IndexByte("dHIjmMSUWwy", format[i]) >= 0 {
				b.WriteString(`[0-9]{1,3}`)
				continue
			}
		}
		if i >= len(format) || directives[format[i]] == "" {
			return nil, fmt.Errorf("unknown directive at character %d", i+1)
		}
		b.WriteString(directives[format[i]])
	}
	return regexp.Compile(b.String())
}
