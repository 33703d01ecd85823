import type { apiserverv1 } from '@k8ts/api';
import { goQuote } from '@k8ts/apimachinery';
import { ConfigurationError, decodeConfiguration } from '../../configuration/decode-configuration.ts';
import { SIGNING_ALGORITHMS, type SigningAlgorithm } from '../jwt/key-set.ts';

/** What a cluster's operator decides about authentication, beside client certificates and service accounts. */
export interface AuthenticationOptions {
  /** `--anonymous-auth`. Default true, unless the configuration file says otherwise. */
  readonly anonymous?: boolean;
  /** `--api-audiences`. Default: the issuers of service account tokens. */
  readonly apiAudiences?: readonly string[];
  /** `--enable-bootstrap-token-auth`. Default false. */
  readonly bootstrapTokens?: boolean;
  /** `--authentication-config`: an AuthenticationConfiguration; read again when it changes. */
  readonly configurationFile?: string;
  /** `--oidc-*` */
  readonly oidc?: OidcOptions;
  /** `--authentication-token-webhook-*` */
  readonly tokenWebhook?: TokenWebhookOptions;
}

/** One OpenID Connect issuer. */
export interface OidcOptions {
  readonly issuerUrl?: string;
  readonly clientId?: string;
  /** PEM. Default: the authorities that Node knows. */
  readonly ca?: string;
  /** Default `sub`. */
  readonly usernameClaim?: string;
  /** Default: the issuer's URL and `#`, unless the claim is `email`; `-`: none. */
  readonly usernamePrefix?: string;
  readonly groupsClaim?: string;
  readonly groupsPrefix?: string;
  /** Default RS256. */
  readonly signingAlgorithms?: readonly string[];
  /** Claims that must have these values. */
  readonly requiredClaims?: Readonly<Record<string, string>>;
}

export interface TokenWebhookOptions {
  /** A kubeconfig file. */
  readonly kubeconfig: string;
  /** Of TokenReviews. Default v1beta1, as upstream's. */
  readonly version?: string;
  /** Milliseconds. Default 2 minutes; 0: answers are not kept. */
  readonly cacheTtl?: number;
}

/** The configuration in a file's text. Throws ConfigurationError. */
export function readAuthenticationConfiguration(text: string): apiserverv1.AuthenticationConfiguration {
  if (text === '') throw new ConfigurationError('empty config data');
  const decoded = decodeConfiguration<Partial<apiserverv1.AuthenticationConfiguration>>(
    text,
    'AuthenticationConfiguration',
  );
  return { ...decoded, jwt: decoded.jwt ?? [] };
}

/** What `--oidc-*` flags say, in the form that files have. Throws ConfigurationError. */
export function configurationOfOidc(oidc: OidcOptions): apiserverv1.AuthenticationConfiguration {
  const { issuerUrl = '', clientId = '', usernameClaim = 'sub', usernamePrefix = '', ca } = oidc;
  if (issuerUrl === '' || clientId === '')
    throw new ConfigurationError(
      'oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set',
    );
  const prefix =
    usernamePrefix === '-'
      ? ''
      : usernamePrefix === '' && usernameClaim !== 'email'
        ? `${issuerUrl}#`
        : usernamePrefix;
  return {
    jwt: [
      {
        issuer: {
          url: issuerUrl,
          audiences: [clientId],
          ...(ca === undefined ? {} : { certificateAuthority: ca }),
        },
        claimMappings: {
          username: { claim: usernameClaim, prefix },
          ...(oidc.groupsClaim === undefined || oidc.groupsClaim === ''
            ? {}
            : { groups: { claim: oidc.groupsClaim, prefix: oidc.groupsPrefix ?? '' } }),
        },
        claimValidationRules: Object.entries(oidc.requiredClaims ?? {}).map(([claim, requiredValue]) => ({
          claim,
          requiredValue,
        })),
      },
    ],
  };
}

/** Throws ConfigurationError for one that is not known. */
export function signingAlgorithms(names: readonly string[] = ['RS256']): readonly SigningAlgorithm[] {
  return names.map((name) => {
    const found = SIGNING_ALGORITHMS.find((algorithm) => algorithm === name);
    if (found === undefined) throw new ConfigurationError(`oidc: unsupported signing alg: ${goQuote(name)}`);
    return found;
  });
}
