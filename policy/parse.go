package policy

import (
	"strconv"
	"strings"
)

const (
	version2008 = "2008-10-17"
	version2012 = "2012-10-17"
)

// Parse reads a document, holds it to the rules that AWS holds it to when it is stored, and compiles it. Its error is a
// [*DocumentError].
func Parse(document []byte, opts Options) (*Policy, error) {
	c := checker{opts: opts, text: string(document)}
	nodes, bad := readJSON(c.text)
	if bad != nil {
		message := c.words(msgSyntax, msgTrustJSON, msgS3JSON)
		if bad.characters {
			message = msgCharacters
		}
		return nil, c.errorAt(bad.at, message, bad.detail)
	}
	c.nodes = nodes
	if err := c.check(); err != nil {
		return nil, err
	}
	return c.compile()
}

// element is the index of a statement's element in draft.
type element int

const (
	elemSid element = iota
	elemEffect
	elemPrincipal
	elemNotPrincipal
	elemAction
	elemNotAction
	elemResource
	elemNotResource
	elemCondition
	numElements
)

func elementOf(name string) (element, bool) {
	switch name {
	case "Sid":
		return elemSid, true
	case "Effect":
		return elemEffect, true
	case "Principal":
		return elemPrincipal, true
	case "NotPrincipal":
		return elemNotPrincipal, true
	case "Action":
		return elemAction, true
	case "NotAction":
		return elemNotAction, true
	case "Resource":
		return elemResource, true
	case "NotResource":
		return elemNotResource, true
	case "Condition":
		return elemCondition, true
	}
	return 0, false
}

// draft is a statement before it is compiled: where its elements stand. 0 is an element that is not there.
type draft struct {
	at         int32
	elem       [numElements]int32
	conditions []condition // compiled while they are checked
}

// checker holds one document to the rules, in the order in which AWS reports what breaks them.
type checker struct {
	opts      Options
	text      string
	nodes     []node
	version   string
	id        string
	statement int32 // the element Statement
	drafts    []draft
	size      int

	badResource error  // what checkResources reports
	scratch     []byte // of compileConditions
}

// words picks AWS's text by the service that would have answered.
func (c *checker) words(iam, trust, s3 string) string {
	switch c.opts.Kind {
	case Resource:
		return s3
	case Trust:
		return trust
	case ServiceControl, ResourceControl:
		return msgOrganizations
	}
	return iam
}

func (c *checker) errorAt(at int, message, detail string) *DocumentError {
	before := c.text[:at]
	code := codeMalformed
	if c.opts.Kind == Resource {
		code = codeS3
	}
	return &DocumentError{
		Policy: c.opts.Name, Code: code, Message: message, Detail: detail, Offset: at,
		Line: strings.Count(before, "\n") + 1, Column: at - strings.LastIndexByte(before, '\n'),
	}
}

// fail is errorAt for a value, whose path it finds.
func (c *checker) fail(n int32, message, detail string) error {
	err := c.errorAt(int(c.nodes[n].at), message, detail)
	err.Path, _ = c.path(0, n, "")
	return err
}

// path searches the tree for a value; only errors need it.
func (c *checker) path(from, to int32, at string) (string, bool) {
	if from == to {
		return at, true
	}
	index := 0
	for i := c.nodes[from].child; i != 0; i = c.nodes[i].next {
		sub := at + "[" + strconv.Itoa(index) + "]"
		if c.nodes[from].kind == jsonObject {
			sub = strings.TrimPrefix(at+"."+c.nodes[i].key, ".")
		}
		if found, ok := c.path(i, to, sub); ok {
			return found, true
		}
		index++
	}
	return "", false
}

// check goes through the rules. The order is IAM's: the shape of the document, its version, what the older parser
// rejects, unique Sids, then each statement's actions and resources.
func (c *checker) check() error {
	for _, rule := range [...]func() error{
		c.checkDocument, c.checkStatements, c.checkVersion, c.checkLegacy, c.checkSids, c.checkActionsExist,
		c.checkResources, c.checkVendors, c.checkResourcesExist, c.checkKind, c.checkSize,
	} {
		if err := rule(); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) syntax(n int32, detail string) error {
	return c.fail(n, c.words(msgSyntax, msgSyntax, msgS3Syntax), detail)
}

// missing refuses a statement or document without a required element.
func (c *checker) missing(n int32, name, iam string) error {
	return c.fail(n, c.words(iam, iam, msgS3Missing+name), name+" is missing")
}

func (c *checker) checkDocument() error {
	if c.nodes[0].kind != jsonObject {
		return c.fail(0, c.words(msgSyntax, msgTrustJSON, msgS3JSON), "want a JSON object")
	}
	for i := c.nodes[0].child; i != 0; i = c.nodes[i].next {
		n := &c.nodes[i]
		switch n.key {
		case "Version":
			if n.kind != jsonString || n.text != version2008 && n.text != version2012 {
				return c.syntax(i, "Version is "+version2008+" or "+version2012)
			}
			c.version = n.text
		case "Id":
			if n.kind != jsonString {
				return c.syntax(i, "Id is a string")
			}
			c.id = n.text
		case "Statement":
			c.statement = i
		default:
			return c.fail(i, c.words(msgSyntax, msgSyntax, "Unknown field "+n.key), "no element of a policy")
		}
	}
	if c.statement == 0 {
		return c.missing(0, "Statement", msgSyntax)
	}
	return nil
}

func (c *checker) checkStatements() error {
	first := c.nodes[c.statement]
	switch first.kind {
	case jsonObject:
		return c.addDraft(c.statement)
	case jsonArray:
	default:
		return c.syntax(c.statement, "Statement is an object or a list of objects")
	}
	if first.child == 0 {
		return c.syntax(c.statement, "there is no statement")
	}
	c.drafts = make([]draft, 0, c.count(c.statement))
	for i := first.child; i != 0; i = c.nodes[i].next {
		if err := c.addDraft(i); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) addDraft(i int32) error {
	if c.nodes[i].kind != jsonObject {
		return c.syntax(i, "a statement is an object")
	}
	d := draft{at: i}
	for j := c.nodes[i].child; j != 0; j = c.nodes[j].next {
		e, ok := elementOf(c.nodes[j].key)
		if !ok {
			name := c.nodes[j].key
			return c.fail(j, c.words(msgSyntax, msgSyntax, "Unknown field "+name), "no element of a statement")
		}
		d.elem[e] = j
	}
	if err := c.checkShape(&d); err != nil {
		return err
	}
	c.drafts = append(c.drafts, d)
	return nil
}

// checkShape holds the elements of a statement to their JSON types.
func (c *checker) checkShape(d *draft) error {
	for _, pair := range [...][2]element{{elemPrincipal, elemNotPrincipal}, {elemAction, elemNotAction}, {elemResource, elemNotResource}} {
		if not := d.elem[pair[1]]; not != 0 && d.elem[pair[0]] != 0 {
			return c.syntax(not, "excludes "+c.nodes[d.elem[pair[0]]].key)
		}
	}
	if d.elem[elemEffect] == 0 {
		return c.missing(d.at, "Effect", msgSyntax)
	}
	effect := &c.nodes[d.elem[elemEffect]]
	if effect.kind != jsonString || !strings.EqualFold(effect.text, "Allow") && !strings.EqualFold(effect.text, "Deny") {
		return c.fail(d.elem[elemEffect], c.words(msgSyntax, msgSyntax, "Invalid effect: "+effect.text), "Effect is Allow or Deny")
	}
	for _, e := range [...]element{elemAction, elemNotAction, elemResource, elemNotResource} {
		if err := c.checkStrings(d.elem[e]); err != nil {
			return err
		}
	}
	if sid := d.elem[elemSid]; sid != 0 && c.nodes[sid].kind != jsonString {
		return c.syntax(sid, "Sid is a string")
	}
	if err := c.checkPrincipalShape(d); err != nil {
		return err
	}
	return c.checkConditionShape(d.elem[elemCondition])
}

// checkStrings wants a string or a list of strings; IAM takes null in a list.
func (c *checker) checkStrings(n int32) error {
	if n == 0 || c.nodes[n].kind == jsonString {
		return nil
	}
	if c.nodes[n].kind != jsonArray {
		return c.syntax(n, "want a string or a list of strings")
	}
	for i := c.nodes[n].child; i != 0; i = c.nodes[i].next {
		if k := c.nodes[i].kind; k != jsonString && k != jsonNull {
			return c.syntax(i, "want a string")
		}
	}
	return nil
}

func (c *checker) checkPrincipalShape(d *draft) error {
	n := d.elem[elemPrincipal] + d.elem[elemNotPrincipal]
	if n == 0 || c.nodes[n].kind == jsonString {
		return nil
	}
	if c.nodes[n].kind != jsonObject {
		return c.syntax(n, `want "*" or an object`)
	}
	for i := c.nodes[n].child; i != 0; i = c.nodes[i].next {
		if err := c.checkStrings(i); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) checkConditionShape(n int32) error {
	if n == 0 {
		return nil
	}
	if c.nodes[n].kind != jsonObject {
		return c.syntax(n, "Condition is an object")
	}
	for op := c.nodes[n].child; op != 0; op = c.nodes[op].next {
		if c.nodes[op].kind != jsonObject {
			return c.syntax(op, "an operator holds an object of keys")
		}
		if _, ok := parseOperator(c.nodes[op].key); !ok && c.nodes[op].child != 0 {
			return c.syntax(op, "no condition operator")
		}
		for key := c.nodes[op].child; key != 0; key = c.nodes[key].next {
			if err := c.checkScalars(key); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkScalars wants a string, number or bool, or a list of them.
func (c *checker) checkScalars(n int32) error {
	switch c.nodes[n].kind {
	case jsonString, jsonNumber, jsonBool:
		return nil
	case jsonArray:
	default:
		return c.syntax(n, "want a value or a list of values")
	}
	for i := c.nodes[n].child; i != 0; i = c.nodes[i].next {
		if k := c.nodes[i].kind; k == jsonArray || k == jsonObject {
			return c.syntax(i, "want a value")
		}
	}
	return nil
}

// each calls f with the index of every string of an element, or of the one string it is, until f returns an error.
func (c *checker) each(n int32, f func(int32) error) error {
	if n == 0 {
		return nil
	}
	if c.nodes[n].kind != jsonArray {
		return f(n)
	}
	for i := c.nodes[n].child; i != 0; i = c.nodes[i].next {
		if c.nodes[i].kind == jsonNull {
			continue
		}
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}

// empty reports whether an element is there and lists nothing.
func (c *checker) empty(n int32) bool {
	none := n != 0
	_ = c.each(n, func(int32) error { none = false; return nil })
	return none
}
