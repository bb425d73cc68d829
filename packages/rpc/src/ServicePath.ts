/**
 * Where a service is met in XenStore. Pure.
 */
import type { DomId } from "@vchan/xen"

/** The letters, digits and signs that a service's name may have: those of a XenStore key without the slash. */
const allowed = /^[A-Za-z0-9_@-]{1,64}$/

/** Whether a service may be called so. */
export const isServiceName = (name: string): boolean => allowed.test(name)

/** Where a domain lists its services for those who may connect, relative to the domain that serves. */
export const serviceIndex = "data/rpc-for"

/**
 * The directory of a service, relative to the domain that serves it.
 *
 * Throws RangeError for a name that is no XenStore key or is longer than 64 signs.
 */
export const relativeServicePath = (service: string): string => {
  if (!isServiceName(service)) {
    throw new RangeError(`a service's name has 1 to 64 of the signs A-Z a-z 0-9 - _ @, and not ${JSON.stringify(service)}`)
  }
  return `data/rpc/${service}`
}

/** The directory of a service that `domid` serves. */
export const servicePath = (domid: DomId, service: string): string => `/local/domain/${domid}/${relativeServicePath(service)}`
