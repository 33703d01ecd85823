import type { AdmissionAttributes, AdmissionPlugin } from '../contract.ts';
import { refuse } from '../refuse.ts';

/** Does nothing; it has a name for those who list it. */
export function alwaysAdmit(): AdmissionPlugin {
  return {
    name: 'AlwaysAdmit',
    operations: ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'],
    handles: () => false,
  };
}

/** Refuses all that changes anything, for tests of clients. */
export function alwaysDeny(): AdmissionPlugin {
  const deny = (attributes: AdmissionAttributes): never => {
    throw refuse(attributes, 'Admission control is denying all modifications');
  };
  return {
    name: 'AlwaysDeny',
    operations: ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'],
    handles: () => true,
    admit: deny,
    validate: deny,
  };
}
