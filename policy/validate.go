package policy

import (
	"strconv"
	"strings"
)

// checkVersion: IAM stores no policy of the old version; the older ones it holds stay valid.
func (c *checker) checkVersion() error {
	if c.version == version2012 {
		return nil
	}
	if (c.opts.Kind == Identity || c.opts.Kind == Boundary) && !c.opts.OldVersions {
		return c.fail(0, msgVersion, "policy variables need it")
	}
	c.version = version2008
	return nil
}

// checkLegacy reports what IAM reports as failing the older parser: spelling of Effect, values of the wrong type,
// malformed variables. Resources that fail it are found in checkResources.
func (c *checker) checkLegacy() error {
	for i := range c.drafts {
		d := &c.drafts[i]
		if text := c.nodes[d.elem[elemEffect]].text; text != "Allow" && text != "Deny" {
			return c.legacy(d.elem[elemEffect], "spell it Allow or Deny")
		}
		if err := c.compileConditions(d); err != nil {
			return err
		}
	}
	return c.scanResources()
}

func (c *checker) legacy(n int32, detail string) error {
	return c.fail(n, c.words(msgLegacy, msgLegacy, msgS3Syntax), detail)
}

func (c *checker) variables() bool { return c.version == version2012 }

// scanResources goes through the resources as IAM does: all of Resource first, then all of NotResource. A resource that
// the older parser rejects is reported at once, but only while no other kind of mistake was found; that one is kept for
// checkResources, because Sids and actions are reported before it.
func (c *checker) scanResources() error {
	for _, e := range [...]element{elemResource, elemNotResource} {
		for i := range c.drafts {
			n := c.drafts[i].elem[e]
			c.scanFormats(n)
			if c.badResource != nil {
				continue
			}
			if err := c.each(n, c.checkLegacyResource); err != nil {
				return err
			}
		}
	}
	return nil
}

// scanFormats keeps the mistake IAM reports: of one list that of the resource that sorts first, of several the last.
func (c *checker) scanFormats(n int32) {
	first := ""
	found := false
	_ = c.each(n, func(i int32) error {
		text := c.nodes[i].text
		if message := resourceProblem(text); message != "" && (!found || text < first) {
			first, found = text, true
			c.badResource = c.fail(i, c.words(message, message, "Policy has invalid resource"), "no such resource can be")
		}
		return nil
	})
}

func (c *checker) checkLegacyResource(n int32) error {
	text := c.nodes[n].text
	if text == "*" {
		return nil
	}
	a := splitRequestARN(text)
	if a.n < 6 && strings.Contains(text, "::") || a.parts[2] == "" {
		return c.legacy(n, "want arn:partition:service:region:account:resource")
	}
	if c.variables() && strings.Contains(text, "${") {
		var p arnPattern
		if problem := p.compile(text, how{wildcards: true, variables: true}, true); problem != "" {
			return c.legacy(n, problem)
		}
	}
	return nil
}

func (c *checker) checkSids() error {
	var seen members
	for i := range c.drafts {
		n := c.drafts[i].elem[elemSid]
		if n == 0 || c.nodes[n].text == "" {
			continue
		}
		sid := c.nodes[n].text
		if !seen.add(sid) {
			return c.fail(n, c.words(msgUniqueSid, msgUniqueSid, msgS3Syntax), strconv.Quote(sid)+" stands there twice")
		}
	}
	return nil
}

// checkActionsExist and checkResourcesExist: an empty list is as good as none.
func (c *checker) checkActionsExist() error {
	for i := range c.drafts {
		d := &c.drafts[i]
		if n := d.elem[elemAction] + d.elem[elemNotAction]; n == 0 || c.empty(n) {
			return c.missing(d.at, "Action", msgNoActions)
		}
	}
	return nil
}

func (c *checker) checkResourcesExist() error {
	for i := range c.drafts {
		d := &c.drafts[i]
		n := d.elem[elemResource] + d.elem[elemNotResource]
		if c.opts.Kind == Trust {
			if n != 0 {
				return c.fail(n, msgTrustResource, "a trust policy is about its role")
			}
			continue
		}
		if n == 0 || c.empty(n) {
			return c.missing(d.at, "Resource", msgNoResources)
		}
	}
	return nil
}

func (c *checker) checkResources() error { return c.badResource }

// checkVendors looks at the names of all of Action, then at those of all of NotAction.
func (c *checker) checkVendors() error {
	for _, e := range [...]element{elemAction, elemNotAction} {
		for i := range c.drafts {
			if err := c.each(c.drafts[i].elem[e], c.checkAction); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *checker) checkAction(n int32) error {
	text := c.nodes[n].text
	vendor, name, found := strings.Cut(text, ":")
	message := ""
	switch {
	case text == "*":
		return nil
	case !found:
		message = msgVendorPrefix
	case strings.Contains(name, ":"):
		message = msgOneColon
	case vendor != "*" && strings.ContainsFunc(vendor, notVendor):
		message = "Vendor " + vendor + " is not valid"
	case c.opts.Kind == Trust && lowerString(vendor) != "sts":
		return c.fail(n, msgTrustAction, "")
	default:
		return nil
	}
	return c.fail(n, c.words(message, message, "Policy has invalid action"), "want service:Name")
}

func notVendor(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.'
}

// checkKind holds the elements to what the kind of policy allows: who may be named, and where.
func (c *checker) checkKind() error {
	for i := range c.drafts {
		d := &c.drafts[i]
		who, not := d.elem[elemPrincipal], d.elem[elemNotPrincipal]
		switch c.opts.Kind {
		case Identity, Boundary, Session, ServiceControl:
			if n := who + not; n != 0 {
				return c.fail(n, c.words(msgNoPrincipal, msgNoPrincipal, ""), "the policy belongs to its principal")
			}
			continue
		case Trust:
			if not != 0 {
				return c.fail(not, msgTrustNot, "")
			}
		case ResourceControl:
			if err := c.checkRCP(d); err != nil {
				return err
			}
		}
		if who+not == 0 {
			return c.fail(d.at, c.words(msgTrustPrincipal, msgTrustPrincipal, msgS3Missing+"Principal"), "say who it is about")
		}
		if err := c.checkPrincipal(who + not); err != nil {
			return err
		}
	}
	return nil
}

// checkRCP: Organizations takes only Deny about everyone. RCPFullAWSAccess, which it attaches itself, allows all.
func (c *checker) checkRCP(d *draft) error {
	who := d.elem[elemPrincipal]
	if who == 0 || c.nodes[who].text != "*" {
		return c.fail(d.at, msgOrganizations, `Principal is "*" in a resource control policy`)
	}
	full := d.elem[elemAction] != 0 && c.nodes[d.elem[elemAction]].text == "*" &&
		d.elem[elemResource] != 0 && c.nodes[d.elem[elemResource]].text == "*" && d.elem[elemCondition] == 0
	if effect := d.elem[elemEffect]; c.nodes[effect].text != "Deny" && !full {
		return c.fail(effect, msgOrganizations, "a resource control policy only denies")
	}
	return nil
}

func (c *checker) checkPrincipal(n int32) error {
	if c.nodes[n].kind == jsonString {
		if c.nodes[n].text != "*" {
			return c.fail(n, msgInvalidWho, `want "*" or an object`)
		}
		return nil
	}
	if c.nodes[n].child == 0 {
		return c.fail(n, msgInvalidWho, "nobody is named")
	}
	for i := c.nodes[n].child; i != 0; i = c.nodes[i].next {
		if c.empty(i) {
			return c.fail(i, msgInvalidWho, "nobody is named")
		}
		err := c.each(i, func(v int32) error {
			if _, problem := newPrincipalEntry(c.nodes[i].key, c.nodes[v].text); problem != "" {
				return c.fail(v, msgInvalidWho, problem)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// newPrincipalEntry reads one value of a Principal element.
func newPrincipalEntry(kind, text string) (e principalEntry, problem string) {
	e.name = text
	switch kind {
	case "Service":
		e.kind = whoService
	case "Federated":
		e.kind = whoFederated
	case "CanonicalUser":
		e.kind = whoCanonical
	case "AWS":
		return newAWSEntry(text)
	default:
		return e, "want AWS, Service, Federated or CanonicalUser"
	}
	if text == "" || text != "*" && strings.ContainsAny(text, "*? ") {
		return e, "no name, and wildcards are not allowed"
	}
	return e, ""
}

// newAWSEntry reads "*" (whoEveryone is the compiler's doing), an account's id or an ARN without wildcards.
func newAWSEntry(text string) (e principalEntry, problem string) {
	if text == "*" {
		return e, ""
	}
	if isAccount(text) {
		return principalEntry{kind: whoAccount, name: text}, ""
	}
	a := splitRequestARN(text)
	account := a.parts[4]
	if a.n != 6 || a.parts[0] != "arn" || a.parts[3] != "" || strings.ContainsAny(text, "*? ") ||
		!isAccount(account) && account != "cloudfront" {
		return e, "want an account or the ARN of a user, role, session or account root"
	}
	service, rest, _ := strings.Cut(a.parts[5], "/")
	switch a.parts[2] + ":" + service {
	case "iam:root":
		return principalEntry{kind: whoAccount, name: account}, ""
	case "iam:user", "iam:role", "sts:assumed-role", "sts:federated-user":
		if rest != "" {
			return principalEntry{kind: whoARN, name: text}, ""
		}
	}
	return e, "want an account or the ARN of a user, role, session or account root"
}

// checkSize counts what the quota counts.
func (c *checker) checkSize() error {
	quota := c.opts.quota()
	whitespace := c.opts.Kind == ServiceControl || c.opts.Kind == ResourceControl
	for _, r := range c.text {
		if whitespace || r != ' ' && r != '\t' && r != '\n' && r != '\r' {
			c.size++
		}
	}
	if quota >= 0 && c.size > quota {
		err := c.errorAt(0, "Cannot exceed quota for PolicySize: "+strconv.Itoa(quota), "it has "+strconv.Itoa(c.size)+" characters")
		err.Code = codeLimit
		return err
	}
	return nil
}

// resourceProblem is IAM's text about a resource that is neither "*" nor an ARN of a kind it knows; "" when it is.
func resourceProblem(text string) string {
	if text == "*" {
		return ""
	}
	_, rest, ok := strings.Cut(text, ":")
	if !ok {
		return "Resource " + text + ` must be in ARN format or "*".`
	}
	partition, rest, more := strings.Cut(rest, ":")
	if !isPartition(partition) {
		return partitionProblem(partition, rest, more)
	}
	if !more {
		return msgVendorRegex
	}
	service, rest, more := strings.Cut(rest, ":")
	region, rest, _ := strings.Cut(rest, ":")
	_, path, _ := strings.Cut(rest, ":")
	if !more {
		region = "*" // as missing parts are
	}
	switch {
	case service == "s3" && region != "" && !strings.HasPrefix(path, "accesspoint/"):
		return "Resource " + text + " can not contain region information."
	case service == "iam" && region != "":
		return "IAM resource " + text + " cannot contain region information."
	case service == "iam" && path != "*" && !iamPath(path):
		return `IAM resource path must either be "*" or start with ` + iamPaths + "."
	}
	return ""
}

func isPartition(s string) bool {
	switch s {
	case "*", "aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc":
		return true
	}
	return false
}

// partitionProblem shows the ARN as IAM's parser fills it up: missing parts are "*".
func partitionProblem(partition, rest string, more bool) string {
	parts := [...]string{"*", "*", "*", "*"}
	for i := range parts {
		if !more {
			break
		}
		if i == 3 {
			parts[i] = rest
			break
		}
		parts[i], rest, more = strings.Cut(rest, ":")
	}
	arn := "arn:" + partition + ":" + strings.Join(parts[:], ":")
	return "Partition \"" + partition + "\" is not valid for resource \"" + arn + "\"."
}

const iamPaths = "user/, federated-user/, role/, group/, instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, " +
	"saml-provider/, oidc-provider/, report/, access-report/"

func iamPath(path string) bool {
	for kind := range strings.SplitSeq(iamPaths, ", ") {
		if strings.HasPrefix(path, kind) {
			return true
		}
	}
	return false
}
