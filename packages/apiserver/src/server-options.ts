import type { ApiDocs, KubeObject, Stage } from '@k8ts/api';
import type { Clock, Logger, Metrics, Random } from '@k8ts/base';
import type { Store } from '@k8ts/store';
import type { Aggregation } from './aggregation/contract.ts';
import type { AdmissionPlugin } from './admission/contract.ts';
import type { Auditor } from './audit/contract.ts';
import type { Authenticator } from './authentication/contract.ts';
import type { Authorizer } from './authorization/contract.ts';
import type { HealthCheck } from './health/health.ts';
import type { TlsOptions } from './http/http-server.ts';
import type { OtherHandler } from './other-paths.ts';
import type { PostStartHook } from './post-start/contract.ts';
import type { Strategy } from './registry/contract.ts';
import type { SpecialHandler } from './registry/special-subresources.ts';
import type { InFlightLimits } from './steps/fairness.ts';

export interface ApiServerOptions {
  /** Not closed by the server. */
  readonly store: Store;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
  readonly metrics?: Metrics;

  /** In order. None: everybody is anonymous. */
  readonly authenticators?: readonly Authenticator[];
  /** Requests without credentials are `system:anonymous`; a list: those for these paths. Default true. */
  readonly anonymous?: boolean | readonly string[];
  /** In order; the first that allows or denies decides. None: nobody may do anything. */
  readonly authorizers?: readonly Authorizer[];
  /** In order. */
  readonly admission?: readonly AdmissionPlugin[];
  /** What is special about kinds. */
  readonly strategies?: readonly Strategy<KubeObject>[];
  /** Subresources and reviews with code of their own. */
  readonly specialHandlers?: readonly SpecialHandler[];
  /** What other servers serve. Absent: nothing. */
  readonly aggregation?: Aggregation;
  /** GETs besides those of the API, by path. */
  readonly otherPaths?: ReadonlyMap<string, OtherHandler>;
  /** Run once, in order, when the server can answer; it is ready when all have succeeded. */
  readonly postStartHooks?: readonly PostStartHook[];
  /** Further checks for /livez and /readyz. */
  readonly healthChecks?: readonly HealthCheck[];
  /** Which versions of the tables are served. Default `['stable']`. */
  readonly stages?: readonly Stage[];
  readonly inFlight?: InFlightLimits;
  /** `--request-timeout`: milliseconds for everything but watches and streams. Default 60,000. */
  readonly requestTimeout?: number;
  /** Not stopped by the server: what still comes when it stops is to be written too. */
  readonly auditor?: Auditor;
  /** Descriptions for OpenAPI and `kubectl explain`; called when first needed. Default: none. */
  readonly docs?: () => ApiDocs;

  /** Absent: no TLS port. */
  readonly tls?: TlsOptions;
  /** Of the TLS port; 0: any. Default 6443. */
  readonly port?: number;
  /** Default `0.0.0.0`. */
  readonly host?: string;
  /** A plain HTTP port on 127.0.0.1 besides; 0: any. Absent: none. Requests over it are authenticated like all others. */
  readonly plainPort?: number;
  /** Milliseconds that requests under way get when the server stops. Default 0. */
  readonly shutdownGrace?: number;

  /** Makes objects immutable before they are shared; tests freeze, the program need not. */
  readonly freeze?: (object: KubeObject) => void;
}
