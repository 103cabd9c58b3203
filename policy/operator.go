package policy

import "strings"

// valueType is what an operator compares.
type valueType uint8

const (
	typeString valueType = iota
	typeStringFold
	typeStringLike
	typeNumeric
	typeDate
	typeBool
	typeBinary
	typeIP
	typeARN
	typeNull
)

// relation is how numbers and dates compare.
type relation uint8

const (
	equal relation = iota
	less
	lessEqual
	greater
	greaterEqual
)

func (r relation) holds(order int) bool {
	switch r {
	case less:
		return order < 0
	case lessEqual:
		return order <= 0
	case greater:
		return order > 0
	case greaterEqual:
		return order >= 0
	}
	return order == 0
}

// quantifier is the set operator before the colon.
type quantifier uint8

const (
	single quantifier = iota
	forAllValues
	forAnyValue
)

// operator is a condition operator with its set operator and IfExists.
type operator struct {
	of       valueType
	relation relation
	quantify quantifier
	negated  bool
	ifExists bool
}

// parseOperator reads an operator's name, such as ForAnyValue:StringLikeIfExists. Names keep their case, as IAM's do.
func parseOperator(name string) (o operator, ok bool) {
	base := name
	if rest, found := strings.CutPrefix(base, "ForAllValues:"); found {
		o.quantify, base = forAllValues, rest
	} else if rest, found := strings.CutPrefix(base, "ForAnyValue:"); found {
		o.quantify, base = forAnyValue, rest
	}
	base, o.ifExists = strings.CutSuffix(base, "IfExists")
	switch {
	case base == "Null":
		o.of = typeNull
		return o, !o.ifExists // a key that does not exist is what Null asks about
	case base == "Bool":
		o.of = typeBool
		return o, true
	case base == "BinaryEquals":
		o.of = typeBinary
		return o, true
	case base == "IpAddress", base == "NotIpAddress":
		o.of, o.negated = typeIP, base[0] == 'N'
		return o, true
	case strings.HasPrefix(base, "String"):
		return o.string(base[len("String"):])
	case strings.HasPrefix(base, "Arn"):
		o.of = typeARN
		rest, not := strings.CutPrefix(base[len("Arn"):], "Not")
		o.negated = not
		return o, rest == "Equals" || rest == "Like"
	case strings.HasPrefix(base, "Numeric"):
		o.of = typeNumeric
		return o.ordered(base[len("Numeric"):])
	case strings.HasPrefix(base, "Date"):
		o.of = typeDate
		return o.ordered(base[len("Date"):])
	}
	return o, false
}

func (o operator) string(rest string) (operator, bool) {
	rest, o.negated = strings.CutPrefix(rest, "Not")
	switch rest {
	case "Equals":
		o.of = typeString
	case "EqualsIgnoreCase":
		o.of = typeStringFold
	case "Like":
		o.of = typeStringLike
	default:
		return o, false
	}
	return o, true
}

func (o operator) ordered(rest string) (operator, bool) {
	switch rest {
	case "Equals":
		o.relation = equal
	case "NotEquals":
		o.relation, o.negated = equal, true
	case "LessThan":
		o.relation = less
	case "LessThanEquals":
		o.relation = lessEqual
	case "GreaterThan":
		o.relation = greater
	case "GreaterThanEquals":
		o.relation = greaterEqual
	default:
		return o, false
	}
	return o, true
}
