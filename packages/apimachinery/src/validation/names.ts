/**
 * The syntax of names, labels, ports and the like. Every function returns what is wrong with the value, in upstream's
 * words; an empty list means it is fine. Sources: k8s.io/apimachinery/pkg/util/validation and
 * k8s.io/apimachinery/pkg/api/validate/content (which counts "bytes" where the older package says "characters").
 *
 * All patterns are anchored and run in linear time on hostile input: within one label only the last character can be
 * given back.
 */
export const DNS1123_LABEL_MAX_LENGTH = 63;
export const DNS1123_SUBDOMAIN_MAX_LENGTH = 253;
export const DNS1035_LABEL_MAX_LENGTH = 63;
export const LABEL_VALUE_MAX_LENGTH = 63;

const NONE: readonly string[] = [];

export function maxLengthMessage(length: number): string {
  return `must be no more than ${length} characters`;
}

function maxBytesMessage(length: number): string {
  return `must be no more than ${length} bytes`;
}

export function regexMessage(message: string, pattern: string, ...examples: readonly string[]): string {
  if (examples.length === 0) return `${message} (regex used for validation is '${pattern}')`;
  const list = examples.map((example) => `'${example}', `).join(' or ');
  return `${message} (e.g. ${list}regex used for validation is '${pattern}')`;
}

export function rangeMessage(low: number, high: number): string {
  return `must be between ${low} and ${high}, inclusive`;
}

/** Longer than `max` bytes of UTF-8; measures only where the number of UTF-16 units leaves it open. */
export function exceedsBytes(value: string, max: number): boolean {
  if (value.length > max) return true;
  return value.length * 3 > max && Buffer.byteLength(value) > max;
}

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const LABEL_REGEXP = new RegExp(`^${LABEL}$`);
const LABEL_MESSAGE =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";

const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`;
const SUBDOMAIN_REGEXP = new RegExp(`^${SUBDOMAIN}$`);
const SUBDOMAIN_MESSAGE =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";

export function isDNS1123Label(value: string): readonly string[] {
  const tooLong = exceedsBytes(value, DNS1123_LABEL_MAX_LENGTH);
  const matches = LABEL_REGEXP.test(value);
  if (!tooLong && matches) return NONE;
  const messages: string[] = [];
  if (tooLong) messages.push(maxLengthMessage(DNS1123_LABEL_MAX_LENGTH));
  if (!matches) {
    messages.push(
      SUBDOMAIN_REGEXP.test(value)
        ? 'must not contain dots'
        : regexMessage(LABEL_MESSAGE, LABEL, 'my-name', '123-abc'),
    );
  }
  return messages;
}

export function isDNS1123Subdomain(value: string): readonly string[] {
  return pattern(
    value,
    SUBDOMAIN_REGEXP,
    () => regexMessage(SUBDOMAIN_MESSAGE, SUBDOMAIN, 'example.com'),
    DNS1123_SUBDOMAIN_MAX_LENGTH,
  );
}

const SUBDOMAIN_CASELESS_REGEXP = new RegExp(`^${SUBDOMAIN}$`, 'i');

/** CSI and DRA driver names, where upper case was once let in. */
export function isDNS1123SubdomainCaseless(value: string): readonly string[] {
  const messages: string[] = [];
  if (exceedsBytes(value, DNS1123_SUBDOMAIN_MAX_LENGTH))
    messages.push(maxBytesMessage(DNS1123_SUBDOMAIN_MAX_LENGTH));
  if (!SUBDOMAIN_CASELESS_REGEXP.test(value)) {
    messages.push(
      regexMessage(
        "an RFC 1123 subdomain must consist of alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        SUBDOMAIN,
        'Example.com',
      ),
    );
  }
  return messages;
}

const UNDERSCORE_LABEL = '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?';
const UNDERSCORE_SUBDOMAIN = `${UNDERSCORE_LABEL}(\\.${UNDERSCORE_LABEL})*`;
const UNDERSCORE_SUBDOMAIN_REGEXP = new RegExp(`^${UNDERSCORE_SUBDOMAIN}$`);

export function isDNS1123SubdomainWithUnderscore(value: string): readonly string[] {
  return pattern(
    value,
    UNDERSCORE_SUBDOMAIN_REGEXP,
    () =>
      regexMessage(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character",
        UNDERSCORE_SUBDOMAIN,
        'example.com',
      ),
    DNS1123_SUBDOMAIN_MAX_LENGTH,
  );
}

const DNS1035 = '[a-z]([-a-z0-9]*[a-z0-9])?';
const DNS1035_REGEXP = new RegExp(`^${DNS1035}$`);

export function isDNS1035Label(value: string): readonly string[] {
  return pattern(
    value,
    DNS1035_REGEXP,
    () =>
      regexMessage(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
        DNS1035,
        'my-name',
        'abc-123',
      ),
    DNS1035_LABEL_MAX_LENGTH,
  );
}

const WILDCARD = `\\*\\.${SUBDOMAIN}`;
const WILDCARD_REGEXP = new RegExp(`^${WILDCARD}$`);

export function isWildcardDNS1123Subdomain(value: string): readonly string[] {
  return pattern(
    value,
    WILDCARD_REGEXP,
    () =>
      regexMessage(
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
        WILDCARD,
        '*.example.com',
      ),
    DNS1123_SUBDOMAIN_MAX_LENGTH,
  );
}

const QUALIFIED_NAME = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';
const QUALIFIED_NAME_REGEXP = new RegExp(`^${QUALIFIED_NAME}$`);
const QUALIFIED_NAME_MESSAGE = regexMessage(
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
  QUALIFIED_NAME,
  'MyName',
  'my.name',
  '123-abc',
);

/** A label key: `name` or `dns.prefix/name`. Also the syntax of finalizers, conditions, resources … */
export function isQualifiedName(value: string): readonly string[] {
  const slash = value.indexOf('/');
  if (slash < 0) return qualifiedNamePart(value, []);
  if (value.indexOf('/', slash + 1) >= 0) {
    return [
      `a valid label key ${QUALIFIED_NAME_MESSAGE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ];
  }
  const prefix = value.slice(0, slash);
  const messages: string[] = [];
  if (prefix === '') {
    messages.push('prefix part must be non-empty');
  } else {
    if (exceedsBytes(prefix, DNS1123_SUBDOMAIN_MAX_LENGTH))
      messages.push(`prefix part ${maxBytesMessage(DNS1123_SUBDOMAIN_MAX_LENGTH)}`);
    if (!SUBDOMAIN_REGEXP.test(prefix))
      messages.push(`prefix part ${regexMessage(SUBDOMAIN_MESSAGE, SUBDOMAIN, 'example.com')}`);
  }
  return qualifiedNamePart(value.slice(slash + 1), messages);
}

function qualifiedNamePart(name: string, messages: string[]): readonly string[] {
  if (name === '') messages.push('name part must be non-empty');
  else if (exceedsBytes(name, 63)) messages.push(`name part ${maxBytesMessage(63)}`);
  if (!QUALIFIED_NAME_REGEXP.test(name)) messages.push(`name part ${QUALIFIED_NAME_MESSAGE}`);
  return messages;
}

const LABEL_VALUE = `(${QUALIFIED_NAME})?`;
const LABEL_VALUE_REGEXP = new RegExp(`^${LABEL_VALUE}$`);

export function isValidLabelValue(value: string): readonly string[] {
  const tooLong = exceedsBytes(value, LABEL_VALUE_MAX_LENGTH);
  const matches = LABEL_VALUE_REGEXP.test(value);
  if (!tooLong && matches) return NONE;
  const messages: string[] = [];
  if (tooLong) messages.push(maxBytesMessage(LABEL_VALUE_MAX_LENGTH));
  if (!matches) {
    messages.push(
      regexMessage(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
        LABEL_VALUE,
        'MyValue',
        'my_value',
        '12345',
      ),
    );
  }
  return messages;
}

const C_IDENTIFIER = '[A-Za-z_][A-Za-z0-9_]*';
const C_IDENTIFIER_REGEXP = new RegExp(`^${C_IDENTIFIER}$`);

export function isCIdentifier(value: string): readonly string[] {
  return pattern(value, C_IDENTIFIER_REGEXP, () =>
    regexMessage(
      "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
      C_IDENTIFIER,
      'my_name',
      'MY_NAME',
      'MyName',
    ),
  );
}

/** Names that may be used as one segment of a URL path, hence as an object's name at all. */
export function isPathSegmentName(name: string): readonly string[] {
  if (name === '.' || name === '..') return [`may not be '${name}'`];
  return isPathSegmentPrefix(name);
}

export function isPathSegmentPrefix(name: string): readonly string[] {
  const slash = name.includes('/');
  const percent = name.includes('%');
  if (!slash && !percent) return NONE;
  return [...(slash ? ["may not contain '/'"] : []), ...(percent ? ["may not contain '%'"] : [])];
}

export function isInRange(value: number, low: number, high: number): readonly string[] {
  return value >= low && value <= high ? NONE : [rangeMessage(low, high)];
}

export function isValidPortNum(port: number): readonly string[] {
  return isInRange(port, 1, 65535);
}

const MAX_ID = 2 ** 31 - 1;

export function isValidUserID(id: number): readonly string[] {
  return isInRange(id, 0, MAX_ID);
}

export function isValidGroupID(id: number): readonly string[] {
  return isInRange(id, 0, MAX_ID);
}

/** An IANA service name of at most 15 characters. */
export function isValidPortName(port: string): readonly string[] {
  const messages: string[] = [];
  if (exceedsBytes(port, 15)) messages.push(maxLengthMessage(15));
  if (!/^[-a-z0-9]+$/.test(port))
    messages.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  if (!/[a-z]/.test(port)) messages.push('must contain at least one letter (a-z)');
  if (port.includes('--')) messages.push('must not contain consecutive hyphens');
  if (port.startsWith('-') || port.endsWith('-')) messages.push('must not begin or end with a hyphen');
  return messages;
}

export function isValidPercent(value: string): readonly string[] {
  return pattern(value, /^[0-9]+%$/, () =>
    regexMessage(
      "a valid percent string must be a numeric string followed by an ending '%'",
      '[0-9]+%',
      '1%',
      '93%',
    ),
  );
}

export function isHTTPHeaderName(value: string): readonly string[] {
  return pattern(value, /^[-A-Za-z0-9]+$/, () =>
    regexMessage(
      "a valid HTTP header must consist of alphanumeric characters or '-'",
      '[-A-Za-z0-9]+',
      'X-Header-Name',
    ),
  );
}

export function isEnvVarName(value: string): readonly string[] {
  const messages = pattern(value, /^[-._a-zA-Z][-._a-zA-Z0-9]*$/, () =>
    regexMessage(
      "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit",
      '[-._a-zA-Z][-._a-zA-Z0-9]*',
      'my.env-name',
      'MY_ENV.NAME',
      'MyEnvName1',
    ),
  );
  return [...messages, ...changesDirectory(value)];
}

/** Since 1.34 (RelaxedEnvironmentVariableValidation) what pods are held to: printable ASCII without `=`. */
export function isRelaxedEnvVarName(value: string): readonly string[] {
  if (value === '') return ['environment variable name must be non-empty'];
  return pattern(
    value,
    /^[ -<>-~]+$/,
    () => "a valid environment variable name must consist only of printable ASCII characters other than '='",
  );
}

/** A key of a ConfigMap's or Secret's data. */
export function isConfigMapKey(value: string): readonly string[] {
  const messages = pattern(
    value,
    /^[-._a-zA-Z0-9]+$/,
    () =>
      regexMessage(
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
        '[-._a-zA-Z0-9]+',
        'key.name',
        'KEY_NAME',
        'key-name',
      ),
    DNS1123_SUBDOMAIN_MAX_LENGTH,
  );
  const escapes = changesDirectory(value);
  return escapes.length === 0 ? messages : [...messages, ...escapes];
}

/** Keys that would leave the directory they are projected into. */
function changesDirectory(value: string): readonly string[] {
  if (!value.startsWith('.')) return NONE;
  if (value === '.') return ["must not be '.'"];
  if (value === '..') return ["must not be '..'"];
  return value.startsWith('..') ? ["must not start with '..'"] : NONE;
}

function pattern(
  value: string,
  regexp: RegExp,
  message: () => string,
  maxLength = Infinity,
): readonly string[] {
  const tooLong = maxLength !== Infinity && exceedsBytes(value, maxLength);
  const matches = regexp.test(value);
  if (!tooLong && matches) return NONE;
  const messages: string[] = [];
  if (tooLong) messages.push(maxLengthMessage(maxLength));
  if (!matches) messages.push(message());
  return messages;
}

/**
 * The rule for one resource's names. `prefix` is true for `metadata.generateName`, to which characters will be added, so
 * that a trailing dash is fine.
 */
export type NameRule = (name: string, prefix: boolean) => readonly string[];

export const nameIsDNSSubdomain: NameRule = (name, prefix) => isDNS1123Subdomain(masked(name, prefix));
export const nameIsDNSLabel: NameRule = (name, prefix) => isDNS1123Label(masked(name, prefix));
export const nameIsDNS1035Label: NameRule = (name, prefix) => isDNS1035Label(masked(name, prefix));
export const nameIsPathSegment: NameRule = (name, prefix) =>
  prefix ? isPathSegmentPrefix(name) : isPathSegmentName(name);

// Upstream replaces the last two characters by one 'a' (generic.go, maskTrailingDash); kept, since it decides lengths.
function masked(name: string, prefix: boolean): string {
  return prefix && name.length > 1 && name.endsWith('-') ? `${name.slice(0, -2)}a` : name;
}
